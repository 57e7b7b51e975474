"""What a series is: the points of an entity, its labelled anomalies, a choice of its columns."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from service.errors import BadSeries

FloatArray = npt.NDArray[np.float64]
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
    chosen = positions(path, series.dimensions, columns)
    place = {old: new for new, old in enumerate(chosen)}
    segments = tuple(
        replace(each, dimensions=tuple(sorted(place[i] for i in each.dimensions if i in place)))
        for each in series.segments
    )
    values = np.ascontiguousarray(series.values[:, chosen])
    return replace(series, dimensions=tuple(columns), values=values, segments=segments)


def positions(path: Path, names: Sequence[str], columns: Sequence[str]) -> list[int]:
    """Where the chosen columns stand among the names of a file."""
    unknown = [name for name in columns if name not in names]
    if unknown or len(set(columns)) != len(columns) or not columns:
        raise BadSeries(f"{path}: expected different columns of {list(names)}, came {[*columns]}")
    return [names.index(name) for name in columns]
