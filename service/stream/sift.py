"""Sifting: what of a batch is new, what waits, what came before, and what cannot be."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from service.stream.arena import Held
from service.stream.lane import Arrived, Lane
from service.stream.messages import Point
from service.stream.store import MAX_ENTITIES_PER_CALL
from service.stream.waiting import Fate, fates, read_waiting, waiting_blob

MAX_VALUE = 1e30  # beyond it float32 arithmetic has no room
UNASKED = -1  # position of a point that waited: nobody asks about it now

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Line:
    """Points in line: one entity after the other; what waited of it first, then what came."""

    owners: IntArray  # (point,) number of its entity
    positions: IntArray  # (point,) its place among the answers, or UNASKED
    timestamps_ms: IntArray  # (point,)
    posted: npt.NDArray[np.float64]  # (point, dimension) NaN = missing

    def by_time(self, chosen: npt.NDArray[np.bool_]) -> "Line":
        """With the points of chosen entities (entity,) in order of time, equal ones as they are."""
        order = np.lexsort((np.where(chosen[self.owners], self.timestamps_ms, 0), self.owners))
        return Line(*(column[order] for column in vars(self).values()))


@dataclass(frozen=True, eq=False)
class Sifted:
    """The points of a batch, with those that waited, and what becomes of them."""

    entities: list[str]  # (entity,) distinct
    held: list[Held]  # (entity,)
    waiting: list[bytes | None]  # (entity,) what waits from now on; None: what waited before
    line: Line
    fate: npt.NDArray[np.uint8]  # (point,) a Fate
    values: npt.NDArray[np.float32]  # (point, dimension) minus the centre
    is_quiet: npt.NDArray[np.bool_]  # (point,) of a backfill: nobody is told

    @cached_property
    def is_new(self) -> npt.NDArray[np.bool_]:
        """(point,) scored now: later than every point before it."""
        return np.asarray(self.fate == Fate.NEW)

    @property
    def again(self) -> IntArray:
        """Numbers of entities of which a point came that is not later than what was scored."""
        is_again = (self.fate == Fate.PAST) & (self.line.positions != UNASKED)
        return np.asarray(self.line.owners[is_again])

    def entity(self, point: int) -> str:
        """Whose point it is."""
        return self.entities[int(self.line.owners[point])]

    @cached_property
    def arrived(self) -> Arrived:
        """The new points."""
        is_new = self.is_new
        counts = np.bincount(self.line.owners[is_new], minlength=len(self.entities))
        fresh = np.flatnonzero(counts)
        return Arrived(
            entities=[self.entities[owner] for owner in fresh.tolist()],
            held=[self.held[owner] for owner in fresh.tolist()],
            waiting=[self.waiting[owner] for owner in fresh.tolist()],
            members=fresh,
            counts=counts[fresh].tolist(),
            timestamps_ms=self.line.timestamps_ms[is_new],
            values=self.values[is_new],
            is_quiet=self.is_quiet[is_new],
        )

    @property
    def still(self) -> list[int]:
        """Numbers of entities of which more points wait than before, and none is new."""
        moved = set(self.line.owners[self.is_new].tolist())
        return [i for i, blob in enumerate(self.waiting) if blob is not None and i not in moved]


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
    lane: Lane,
    held: Sequence[Held],
    points: Sequence[Point],
    *,
    groups: Mapping[str, list[int]],
    lateness_ms: IntArray,
    quiet: frozenset[int] = frozenset(),
) -> Sifted:
    """Turn points into arrays; `groups` are the positions of the points of each entity.

    Points of an entity wait `lateness_ms` (entity,) for earlier ones; `quiet` are the positions of
    a backfill.
    """
    line = _line(lane, held, points, groups)
    is_loose = (lateness_ms > 0) | np.array([bool(one.waiting) for one in held], bool)
    if is_loose.any():
        line = line.by_time(is_loose)
    is_unusable = np.any(np.abs(line.posted) > MAX_VALUE, axis=1)
    line.posted[is_unusable] = np.nan
    fate = _strict(line, held, is_open=~is_unusable & ~is_loose[line.owners])
    waiting: list[bytes | None] = [None] * len(held)
    for owner in np.flatnonzero(is_loose).tolist():
        mine = np.flatnonzero(~is_unusable & (line.owners == owner))
        times, posted = line.timestamps_ms[mine], line.posted[mine]
        known = {"newest_ms": held[owner].timestamp_ms, "lateness_ms": int(lateness_ms[owner])}
        fate[mine] = fates(times.tolist(), posted, **known)
        waits = fate[mine] == Fate.WAITS
        blob = waiting_blob(times[waits], posted[waits])
        waiting[owner] = None if blob == held[owner].waiting else blob
    return Sifted(
        entities=list(groups),
        held=list(held),
        waiting=waiting,
        line=line,
        fate=fate,
        values=lane.fold.centre(line.posted, lane.entity_indices(list(groups))[line.owners]),
        is_quiet=_among(line.positions, quiet),
    )


def _line(
    lane: Lane, held: Sequence[Held], points: Sequence[Point], groups: Mapping[str, list[int]]
) -> Line:
    names = lane.fold.bundle.manifest.dimensions
    posted, timestamps_ms = list[Sequence[float | None]](), list[int]()
    positions, counts = list[int](), list[int]()
    for one, group in zip(held, groups.values(), strict=True):
        start = len(positions)
        if one.waiting:
            old = read_waiting(one.waiting, dimensions=len(names))
            posted += old["values"].tolist()
            timestamps_ms += old["timestamp_ms"].tolist()
            positions += [UNASKED] * len(old)
        posted += [_ordered(points[position], names) for position in group]
        timestamps_ms += [points[position].timestamp_ms for position in group]
        positions += group
        counts.append(len(positions) - start)
    return Line(
        owners=np.repeat(np.arange(len(groups)), counts),
        positions=np.array(positions, np.int64),
        timestamps_ms=np.array(timestamps_ms, np.int64),
        posted=np.array(posted, np.float64).reshape(len(posted), len(names)),
    )


def _strict(
    line: Line, held: Sequence[Held], *, is_open: npt.NDArray[np.bool_]
) -> npt.NDArray[np.uint8]:
    """Fates where nothing waits: new is what is later than every point before it."""
    fate = np.where(is_open, np.uint8(Fate.PAST), np.uint8(Fate.UNUSABLE))
    newest = [one.timestamp_ms for one in held]
    for point in np.flatnonzero(is_open).tolist():
        owner, timestamp_ms = line.owners[point], line.timestamps_ms[point]
        if timestamp_ms > newest[owner]:
            fate[point], newest[owner] = Fate.NEW, timestamp_ms
    return fate


def _among(positions: IntArray, chosen: frozenset[int]) -> npt.NDArray[np.bool_]:
    if not chosen:
        return np.zeros(len(positions), bool)
    return np.array([position in chosen for position in positions.tolist()], bool)


def _ordered(point: Point, names: Sequence[str]) -> Sequence[float | None]:
    values = point.values
    return [values.get(name) for name in names] if isinstance(values, dict) else values
