"""Ranges: which points of a half are used, by row or by time."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from service.errors import BadSeries, SettingInvalid
from service.scoring.series import Part, Series
from service.scoring.timestamps import iso_ms
from trainer.layouts.source import rows_of


@dataclass(frozen=True)
class Range:
    """Points that are in both: rows start..stop-1 of a half, and times from..until."""

    start: int = 0
    stop: int | None = None
    from_ms: float = -math.inf
    until_ms: float = math.inf  # itself left out

    def of(self, series: Series) -> Series:
        """What of a series is inside; raises BadSeries where nothing is."""
        stop = len(series.values) if self.stop is None else self.stop
        part = rows_of(series, self.start, min(stop, len(series.values)))
        first, last = np.searchsorted(part.timestamps_ms, (self.from_ms, self.until_ms))
        part = rows_of(part, int(first), int(last))
        if not len(part.values):
            count = len(series.values)
            first_ms, last_ms = series.timestamps_ms[[0, -1]].tolist()
            raise BadSeries(
                f"{series.entity}: expected points in {self}, came {count} points from "
                f"{first_ms} to {last_ms} ms"
            )
        return part

    def __str__(self) -> str:
        """As messages show it."""
        rows = f"rows {self.start}:{'' if self.stop is None else self.stop}"
        if math.isinf(self.from_ms) and math.isinf(self.until_ms):
            return rows
        return f"{rows}, times {self.from_ms:.0f} to {self.until_ms:.0f} ms"


Ranges = Mapping[Part, Range]


def parse_range(rows: str | None, times: str | None) -> Range | None:
    """`20000:` or `0:20000`, and `2020-01-01..2020-02-01T12:00Z`, either end open.

    None where neither is given. Raises SettingInvalid.
    """
    if rows is None and times is None:
        return None
    start, stop = _rows(rows or ":")
    from_ms, until_ms = _times(times or "..")
    return Range(start, stop, from_ms, until_ms)


def expect_apart(train: Sequence[Series], test: Sequence[Series]) -> None:
    """Raise SettingInvalid for an entity that would be tested on points it was trained on."""
    trained = {one.entity: one.timestamps_ms for one in train}
    for one in test:
        both = np.intersect1d(one.timestamps_ms, trained.get(one.entity, np.empty(0, np.int64)))
        if len(both):
            raise SettingInvalid(
                f"{one.entity}: the ranges to train and to test on share {len(both)} points"
            )


def _rows(text: str) -> tuple[int, int | None]:
    first, colon, last = text.partition(":")
    try:
        start, stop = int(first or 0), int(last) if last else None
    except ValueError:
        start, stop = -1, None
    if not colon or start < 0 or (stop is not None and stop <= start):
        raise SettingInvalid(f"expected rows as 0:20000, :20000 or 20000:, came {text!r}")
    return start, stop


def _times(text: str) -> tuple[float, float]:
    first, dots, last = text.partition("..")
    try:
        from_ms = iso_ms(first) if first else -math.inf
        until_ms = iso_ms(last) if last else math.inf
    except ValueError:
        from_ms, until_ms = math.inf, -math.inf
    if not dots or until_ms <= from_ms:
        raise SettingInvalid(
            f"expected times as 2020-01-01..2020-02-01T12:00Z, either end open, came {text!r}"
        )
    return from_ms, until_ms
