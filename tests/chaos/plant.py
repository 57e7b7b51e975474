"""The plant: what the entities of a fault run do, with faults often enough that alerts flow."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from service.scoring.series import Series
from service.stream.messages import Point
from tests.builders import ENTITIES, series_like

FAULT_EVERY: Final = 60  # points
FAULT_POINTS: Final = 6
FAULT_SIZE: Final = 8.0


@dataclass(frozen=True)
class Plant:
    """One series per entity, all of one length."""

    series: dict[str, Series]

    @property
    def points(self) -> int:
        """Of each entity."""
        return min(len(one.values) for one in self.series.values())

    def point(self, entity: str, position: int) -> Point:
        one = self.series[entity]
        return Point(entity, int(one.timestamps_ms[position]), one.values[position].tolist())

    def chosen(self, entity: str, timestamps_ms: Sequence[int]) -> Series:
        """The points of these times, in order of time."""
        one, wanted = self.series[entity], set(timestamps_ms)
        kept = [row for row, time in enumerate(one.timestamps_ms.tolist()) if time in wanted]
        return replace(one, timestamps_ms=one.timestamps_ms[kept], values=one.values[kept])


def plant_of(
    entities: int, *, points: int, prefix: str = "", period_ms: int | None = None
) -> Plant:
    """Two entities that the bundle was trained on, and others that it was not.

    With a prefix all are of the second kind, so that plants can have one service after another.
    """
    known = [] if prefix else list(ENTITIES)
    names = [*known, *(f"{prefix}pump-{number:02d}" for number in range(len(known), entities))]
    return Plant({name: _series(name, i, points, period_ms) for i, name in enumerate(names)})


def _series(name: str, number: int, points: int, period_ms: int | None) -> Series:
    series = series_like(name, points, seed=100 + number)
    for start in range(40 + number % 20, points, FAULT_EVERY):
        series.values[start : start + FAULT_POINTS, number % 4] += FAULT_SIZE
    if period_ms is None:
        return series
    first_ms = series.timestamps_ms[0]
    periods = (series.timestamps_ms - first_ms) // (series.timestamps_ms[1] - first_ms)
    return replace(series, timestamps_ms=first_ms + period_ms * periods)
