"""Sifting: what of a batch is new, what came before, and what cannot be."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from service.stream.arena import Held
from service.stream.lane import Arrived, Lane
from service.stream.messages import Point
from service.stream.store import MAX_ENTITIES_PER_CALL

MAX_VALUE = 1e30  # beyond it float32 arithmetic has no room


@dataclass(frozen=True, eq=False)
class Sifted:
    """The points of a batch: one entity after the other, each in order."""

    entities: list[str]  # (entity,) distinct
    held: list[Held]  # (entity,)
    owners: npt.NDArray[np.int64]  # (point,) number of its entity
    positions: npt.NDArray[np.int64]  # (point,) its place among the answers
    timestamps_ms: npt.NDArray[np.int64]  # (point,)
    posted: npt.NDArray[np.float64]  # (point, dimension) NaN = missing
    values: npt.NDArray[np.float32]  # (point, dimension) minus the centre
    is_new: npt.NDArray[np.bool_]  # (point,) later than every point before it
    is_usable: npt.NDArray[np.bool_]  # (point,)

    def entity(self, point: int) -> str:
        """Whose point it is."""
        return self.entities[int(self.owners[point])]

    @property
    def arrived(self) -> Arrived:
        """The new points."""
        counts = np.bincount(self.owners[self.is_new], minlength=len(self.entities))
        fresh = np.flatnonzero(counts).tolist()
        return Arrived(
            entities=[self.entities[owner] for owner in fresh],
            held=[self.held[owner] for owner in fresh],
            counts=counts[fresh].tolist(),
            timestamps_ms=self.timestamps_ms[self.is_new],
            values=self.values[self.is_new],
        )


def in_order(requests: Sequence[Sequence[Point]]) -> list[int]:
    """Positions of all points: sorted by time within a request; requests keep their order."""
    order: list[int] = []
    for request in requests:
        start = len(order)
        times = sorted(range(len(request)), key=lambda i: request[i].timestamp_ms)
        order += [start + i for i in times]
    return order


def grouped(
    points: Sequence[Point], order: Sequence[int], name_of: Callable[[str], str]
) -> Iterator[tuple[str, dict[str, list[int]]]]:
    """Positions of the points of each entity, by bundle, at most one call's worth at once."""
    groups: dict[str, dict[str, list[int]]] = {}
    for position in order:
        entity = points[position].entity
        groups.setdefault(name_of(entity), {}).setdefault(entity, []).append(position)
    for name, group in groups.items():
        entities = list(group)
        for first in range(0, len(entities), MAX_ENTITIES_PER_CALL):
            chosen = entities[first : first + MAX_ENTITIES_PER_CALL]
            yield name, {entity: group[entity] for entity in chosen}


def sift(
    lane: Lane, held: Sequence[Held], points: Sequence[Point], *, groups: Mapping[str, list[int]]
) -> Sifted:
    """Turn points into arrays; `groups` are the positions of the points of each entity."""
    positions = [position for group in groups.values() for position in group]
    asked = [points[position] for position in positions]
    owners = np.repeat(np.arange(len(groups)), [len(group) for group in groups.values()])
    names = lane.fold.bundle.manifest.dimensions
    raw = np.array([_ordered(point, names) for point in asked], np.float64)
    is_usable: npt.NDArray[np.bool_] = ~np.any(np.abs(raw) > MAX_VALUE, axis=1)
    raw[~is_usable] = np.nan
    is_new = np.zeros(len(asked), bool)
    newest = [one.timestamp_ms for one in held]
    for point in np.flatnonzero(is_usable).tolist():
        owner, timestamp_ms = owners[point], asked[point].timestamp_ms
        if timestamp_ms > newest[owner]:
            is_new[point], newest[owner] = True, timestamp_ms
    return Sifted(
        entities=list(groups),
        held=list(held),
        owners=owners,
        positions=np.array(positions),
        timestamps_ms=np.array([point.timestamp_ms for point in asked], np.int64),
        posted=raw,
        values=lane.fold.centre(raw, lane.entity_indices(list(groups))[owners]),
        is_new=is_new,
        is_usable=is_usable,
    )


def _ordered(point: Point, names: Sequence[str]) -> Sequence[float | None]:
    values = point.values
    return [values.get(name) for name in names] if isinstance(values, dict) else values
