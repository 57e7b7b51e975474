"""Data sets: what `--data` may be, and which halves of it there are.

One NPZ, CSV or JSON file, or a folder of them: one entity each. Or a Parquet file of any entities,
or a folder that the service recorded them into. Or a data set as it is published, in one of the
layouts of `trainer.layouts`. An NPZ file and most layouts bring a training half, a test half, or
both; the others are the one half they are asked for.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from service.errors import BadSeries
from service.scoring.series import Part, Series, read_file, read_folder
from service.scoring.series_types import choose
from trainer.layouts.recognise import LAYOUTS, ONE_HALF, Layout, recognise
from trainer.layouts.source import Source
from trainer.ranges import Ranges, expect_apart


@dataclass(frozen=True)
class Halves:
    """The series to train on and those to test on, each sorted by entity; either may be empty."""

    train: list[Series]
    test: list[Series]

    def of(self, entity: str) -> "Halves":
        """Both halves of one entity."""
        train, test = (
            [one for one in half if one.entity == entity] for half in (self.train, self.test)
        )
        return Halves(train, test)

    def without(self, entities: Collection[str]) -> "Halves":
        """Both halves of all other entities."""
        train, test = (
            [one for one in half if one.entity not in entities] for half in (self.train, self.test)
        )
        return Halves(train, test)


def _ignore(text: str) -> None:
    """Nobody listens."""


@dataclass(frozen=True)
class Reader:
    """How files are read."""

    period_seconds: float
    columns: Sequence[str] | None = None
    timestamp_column: str | None = None
    layout: Layout | None = None  # None: recognised
    tell: Callable[[str], None] = _ignore  # hears the quirks of a published layout
    ranges: Ranges = field(default_factory=dict)  # of a half, what is used

    def read(self, path: Path, part: Part) -> list[Series]:
        """One half of a file or folder; raises BadSeries where there is none."""
        layout = self.layout_of(path)
        if layout == "plain":
            return self._plain(path, part)
        if found := self._published(path, part, layout):
            return found
        raise BadSeries(f"{path}: expected the {part} half of the layout {layout}, found none")

    def layout_of(self, path: Path) -> Layout:
        """As it was told, or as it is recognised; raises BadSeries where there is nothing."""
        if not path.exists():
            raise BadSeries(f"{path}: expected a file or a folder, found nothing")
        return self.layout or recognise(path).layout

    def _published(self, path: Path, part: Part, layout: Layout) -> list[Series]:
        found = LAYOUTS[layout](Source(path, self.period_seconds, self.tell), part)
        if self.columns is not None:
            found = [choose(path, one, self.columns) for one in found]
        return self._ranged(found, part)

    def _ranged(self, series: list[Series], part: Part) -> list[Series]:
        if part not in self.ranges:
            return series
        return [self.ranges[part].of(one) for one in series]

    def _plain(self, path: Path, part: Part) -> list[Series]:
        read = read_folder if path.is_dir() else read_file
        found = read(
            path,
            part=part,
            period_seconds=self.period_seconds,
            columns=self.columns,
            timestamp_column=self.timestamp_column,
        )
        return self._ranged(found, part)

    def read_if_there(self, path: Path, part: Part) -> list[Series]:
        """The other half of a layout or of those NPZ files that have one, never of others."""
        layout = self.layout_of(path)
        if layout != "plain":
            is_one_half = layout in ONE_HALF and path.is_file()
            return [] if is_one_half else self._published(path, part, layout)
        files = sorted(path.iterdir(), key=lambda file: file.stem) if path.is_dir() else [path]
        return [one for file in files if _has(file, part) for one in self._plain(file, part)]


def to_train_on(reader: Reader, data: Path, *, test: Path | None = None) -> Halves:
    """`data` is to train on; the test half is in `test`, else beside it.

    Of data that are one half, the range to test on is cut out, if there is one.
    """
    train = reader.read(data, "train")
    return Halves(train, _other(reader, data, "test", train, own=test))


def to_test_on(reader: Reader, data: Path, *, train: Path | None = None) -> Halves:
    """`data` is to test on; the training half is in `train`, else beside it or cut out."""
    test = reader.read(data, "test")
    return Halves(_other(reader, data, "train", test, own=train), test)


def _other(
    reader: Reader, data: Path, part: Part, half: Sequence[Series], *, own: Path | None
) -> list[Series]:
    """The half that goes with `half`."""
    if own is not None:
        return reader.read(own, part)
    found = reader.read_if_there(data, part)
    if not found and part in reader.ranges:
        found = reader.read(data, part)
        expect_apart(half, found)
    return found


def expect_dimensions(series: Sequence[Series], dimensions: Sequence[str], *, of: str) -> None:
    """Raise BadSeries for the first series whose dimensions are not `dimensions` in this order."""
    for one in series:
        if list(one.dimensions) == list(dimensions):
            continue
        missing = sorted(set(dimensions) - set(one.dimensions))
        extra = sorted(set(one.dimensions) - set(dimensions))
        difference = f"lacks {missing}, adds {extra}" if missing or extra else "has another order"
        raise BadSeries(
            f"entity {one.entity}: expected the {len(dimensions)} dimensions of {of}, "
            f"came {len(one.dimensions)}: it {difference}; choose columns, or give each "
            "entity a bundle of its own (--per-entity)"
        )


def _has(file: Path, part: Part) -> bool:
    if file.suffix.lower() != ".npz":
        return False
    with np.load(file, allow_pickle=False) as arrays:
        return part in arrays.files
