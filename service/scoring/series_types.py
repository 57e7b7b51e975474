"""What a series is: the points of an entity, its labelled anomalies, a choice of its columns."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from service.errors import BadSeries

FloatArray = npt.NDArray[np.float64]
_NUMBERS = re.compile(r"(\d{1,9})(?:-(\d{1,9}))?$")
Part = Literal["train", "test"]


@dataclass(frozen=True)
class Segment:
    """A labelled anomaly: points start..end inclusive, and its culprits (none if unknown)."""

    start: int
    end: int
    dimensions: tuple[int, ...]


@dataclass(frozen=True)
class Series:
    """All points of one entity."""

    entity: str
    dimensions: tuple[str, ...]
    timestamps_ms: npt.NDArray[np.int64]  # (time,) strictly increasing
    values: FloatArray  # (time, dimension), NaN = missing
    label: npt.NDArray[np.bool_] | None  # (time,)
    segments: tuple[Segment, ...]


def choose(path: Path, series: Series, columns: Sequence[str]) -> Series:
    """The chosen columns as the dimensions, in the order asked for; culprits move along."""
    chosen = positions(path, series.dimensions, expanded(series.dimensions, columns))
    place = {old: new for new, old in enumerate(chosen)}
    segments = tuple(
        replace(each, dimensions=tuple(sorted(place[i] for i in each.dimensions if i in place)))
        for each in series.segments
    )
    values = np.ascontiguousarray(series.values[:, chosen])
    names = tuple(series.dimensions[old] for old in chosen)
    return replace(series, dimensions=names, values=values, segments=segments)


def expanded(names: Sequence[str], columns: Sequence[str]) -> list[str]:
    """Ranges of columns as names: `2` and `1-3` count them from 1, `cpu..disk` is all between.

    What is a name means itself; what is neither stays as it is.
    """
    return [name for column in columns for name in _meant(names, column)]


def _meant(names: Sequence[str], column: str) -> Sequence[str]:
    if column in names:
        return [column]
    first, dots, last = column.partition("..")
    if dots and first in names and last in names:
        return names[names.index(first) : names.index(last) + 1] or [column]
    if numbers := _NUMBERS.match(column):
        start, end = int(numbers[1]), int(numbers[2] or numbers[1])
        if 1 <= start <= end <= len(names):
            return names[start - 1 : end]
    return [column]


def positions(path: Path, names: Sequence[str], columns: Sequence[str]) -> list[int]:
    """Where the chosen columns stand among the names of a file."""
    unknown = [name for name in columns if name not in names]
    if unknown or len(set(columns)) != len(columns) or not columns:
        raise BadSeries(f"{path}: expected different columns of {list(names)}, came {[*columns]}")
    return [names.index(name) for name in columns]
