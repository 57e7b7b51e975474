"""Sifting: what of a batch is new, what came before, and what cannot be."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from service.stream.arena import Held
from service.stream.lane import Arrived, Lane
from service.stream.messages import Point

MAX_VALUE = 1e30  # beyond it float32 arithmetic has no room


@dataclass(frozen=True, eq=False)
class Sifted:
    """The points of one entity in a batch."""

    entity: str
    held: Held
    positions: list[int]  # of each point among the answers
    timestamps_ms: npt.NDArray[np.int64]  # (time,)
    values: npt.NDArray[np.float32]  # (time, dimension) minus the centre
    is_new: npt.NDArray[np.bool_]  # (time,) later than every point before it
    is_usable: npt.NDArray[np.bool_]  # (time,)

    @property
    def arrived(self) -> Arrived:
        """The new points."""
        new = self.is_new
        return Arrived(self.entity, self.held, self.timestamps_ms[new], self.values[new])


def sift(lane: Lane, held: Held, points: Sequence[Point], *, positions: list[int]) -> Sifted:
    """Turn the points of one entity, at `positions` of `points`, into arrays."""
    asked = [points[position] for position in positions]
    entity = asked[0].entity
    timestamps_ms = np.array([point.timestamp_ms for point in asked], np.int64)
    names = lane.fold.bundle.manifest.dimensions
    raw = np.array([_ordered(point, names) for point in asked], np.float64)
    is_usable: npt.NDArray[np.bool_] = ~np.any(np.abs(raw) > MAX_VALUE, axis=1)
    raw[~is_usable] = np.nan
    index = np.full(len(asked), lane.entity_index(entity), np.int64)
    usable_ms = np.where(is_usable, timestamps_ms, -1)
    newest = np.maximum.accumulate(np.concatenate([[held.timestamp_ms], usable_ms]))[:-1]
    return Sifted(
        entity=entity,
        held=held,
        positions=positions,
        timestamps_ms=timestamps_ms,
        values=lane.fold.centre(raw, index),
        is_new=is_usable & (timestamps_ms > newest),
        is_usable=is_usable,
    )


def _ordered(point: Point, names: Sequence[str]) -> Sequence[float | None]:
    values = point.values
    return [values.get(name) for name in names] if isinstance(values, dict) else values
