"""Data sets: what `--data` may be, and which halves of it there are.

One NPZ or CSV file, or a folder of them: one entity each, named by the file. Or a Parquet file of
any entities, or a folder that the service recorded them into. An NPZ file brings a training half,
a test half, or both; the others are the one half they are asked for.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from service.errors import BadSeries
from service.scoring.series import Part, Series, read_file, read_folder


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


@dataclass(frozen=True)
class Reader:
    """How files are read."""

    period_seconds: float
    columns: Sequence[str] | None = None
    timestamp_column: str | None = None

    def read(self, path: Path, part: Part) -> list[Series]:
        """One half of a file or folder; raises BadSeries where there is none."""
        if not path.exists():
            raise BadSeries(f"{path}: expected a file or a folder, found nothing")
        read = read_folder if path.is_dir() else read_file
        return read(
            path,
            part=part,
            period_seconds=self.period_seconds,
            columns=self.columns,
            timestamp_column=self.timestamp_column,
        )

    def read_if_there(self, path: Path, part: Part) -> list[Series]:
        """The other half: of those NPZ files that have one, never of others."""
        files = sorted(path.iterdir(), key=lambda file: file.stem) if path.is_dir() else [path]
        return [one for file in files if _has(file, part) for one in self.read(file, part)]


def to_train_on(reader: Reader, data: Path, *, test: Path | None = None) -> Halves:
    """`data` is to train on; the test half is in `test`, else beside it in its NPZ files."""
    train = reader.read(data, "train")
    return Halves(train, reader.read(test, "test") if test else reader.read_if_there(data, "test"))


def to_test_on(reader: Reader, data: Path, *, train: Path | None = None) -> Halves:
    """`data` is to test on; the training half is in `train`, else beside it in its NPZ files."""
    test = reader.read(data, "test")
    return Halves(
        reader.read(train, "train") if train else reader.read_if_there(data, "train"), test
    )


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
