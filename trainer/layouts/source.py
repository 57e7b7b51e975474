"""What a layout is read from, and what all layouts have in common."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from service.scoring.series import FloatArray, Segment, Series
from service.scoring.timestamps import by_period

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Source:
    """A path, and how its points are read."""

    path: Path
    period_seconds: float
    tell: Callable[[str], None]  # hears what a person should know of the data

    def series(
        self,
        entity: str,
        values: FloatArray,
        *,
        first_row: int = 0,
        label: BoolArray | None = None,
        segments: tuple[Segment, ...] = (),
    ) -> Series:
        """Values (time, dimension) without names and clock: `d00`, ..., and a point per period."""
        count, width = values.shape
        names = tuple(f"d{column:02d}" for column in range(width))
        stamps = by_period(np.arange(first_row, first_row + count), self.period_seconds)
        return Series(entity, names, stamps, values, label, segments)

    def clock(self, stamps: npt.NDArray[np.int64], path: Path) -> npt.NDArray[np.int64]:
        """Timestamps as they are, or a point per period where they repeat or jump back."""
        wrong = np.flatnonzero(np.diff(stamps) <= 0)
        if not len(wrong):
            return stamps
        self.tell(
            f"{path}: {len(wrong)} timestamps are not after the one before, first that of point "
            f"{wrong[0] + 1} (from 0): points count as one every {self.period_seconds:g} s"
        )
        return by_period(np.arange(len(stamps)), self.period_seconds)


def rows_of(series: Series, start: int, stop: int) -> Series:
    """Rows start..stop-1 with their labels; segments are cut at the edges."""
    inside = [one for one in series.segments if one.start < stop and one.end >= start]
    return replace(
        series,
        timestamps_ms=series.timestamps_ms[start:stop],
        values=series.values[start:stop],
        label=None if series.label is None else series.label[start:stop],
        segments=tuple(
            replace(one, start=max(one.start, start) - start, end=min(one.end, stop - 1) - start)
            for one in inside
        ),
    )


def sibling(path: Path, name: str, *, levels: int) -> Path | None:
    """The file or folder `name` in `path`, or in one of `levels` folders above it."""
    folders = [path, *path.absolute().parents[:levels]]
    return next((folder / name for folder in folders if (folder / name).exists()), None)
