"""Sifting: what of a batch is new, what waits, what came before, and what cannot be."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import numpy as np
import numpy.typing as npt

from service.stream.arena import Held
from service.stream.lane import Arrived, Lane
from service.stream.posted import Posted
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


def in_order(requests: Sequence[Posted]) -> list[int]:
    """Positions of all points: sorted by time within a request; requests keep their order."""
    order: list[int] = []
    for request in requests:
        times, start = request.timestamps_ms, len(order)
        is_sorted = len(times) == 1 or bool((times[1:] >= times[:-1]).all())
        places = range(len(times)) if is_sorted else np.argsort(times, kind="stable").tolist()
        order += [start + place for place in places]
    return order


def grouped(
    entities: Sequence[str], order: Iterable[int], name_of: Callable[[str], str]
) -> Iterator[tuple[str, dict[str, list[int]]]]:
    """Positions of the points of each entity, by bundle, at most one call's worth at once."""
    groups: dict[str, list[int]] = {}
    for position in order:
        entity = entities[position]
        if (group := groups.get(entity)) is None:
            groups[entity] = [position]
        else:
            group.append(position)
    by_bundle: dict[str, list[str]] = {}
    for entity in groups:
        by_bundle.setdefault(name_of(entity), []).append(entity)
    for name, owners in by_bundle.items():
        for first in range(0, len(owners), MAX_ENTITIES_PER_CALL):
            chosen = owners[first : first + MAX_ENTITIES_PER_CALL]
            yield name, {entity: groups[entity] for entity in chosen}


def sift(
    lane: Lane,
    held: Sequence[Held],
    points: Posted,
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
    lane: Lane, held: Sequence[Held], points: Posted, groups: Mapping[str, list[int]]
) -> Line:
    names = lane.fold.bundle.manifest.dimensions
    came = list(chain.from_iterable(groups.values()))
    owners = np.repeat(np.arange(len(groups)), list(map(len, groups.values())))
    positions = np.array(came, np.int64)
    line = Line(owners, positions, points.timestamps_ms[positions], points.matrix(came, names))
    waited = [(number, one.waiting) for number, one in enumerate(held) if one.waiting]
    return _after_waiting(line, waited, dimensions=len(names)) if waited else line


def _after_waiting(line: Line, waited: Sequence[tuple[int, bytes]], *, dimensions: int) -> Line:
    """With the points that waited of some entities, each before what came of its own."""
    blobs = [read_waiting(blob, dimensions=dimensions) for _, blob in waited]
    old = np.concatenate(blobs)
    owners = np.repeat([number for number, _ in waited], list(map(len, blobs)))
    all_owners = np.concatenate([owners, line.owners])
    order = np.argsort(all_owners, kind="stable")
    return Line(
        owners=all_owners[order],
        positions=np.concatenate([np.full(len(old), UNASKED), line.positions])[order],
        timestamps_ms=np.concatenate([old["timestamp_ms"], line.timestamps_ms])[order],
        posted=np.concatenate([old["values"], line.posted])[order],
    )


def _strict(
    line: Line, held: Sequence[Held], *, is_open: npt.NDArray[np.bool_]
) -> npt.NDArray[np.uint8]:
    """Fates where nothing waits: new is what is later than every point before it."""
    fate = np.where(is_open, np.uint8(Fate.PAST), np.uint8(Fate.UNUSABLE))
    newest = [one.timestamp_ms for one in held]
    times, owners = line.timestamps_ms, line.owners
    before = np.concatenate([[-1], times[:-1]])
    is_first = np.concatenate([[True], owners[1:] != owners[:-1]])[: len(owners)]
    before = np.where(is_first, np.array(newest, np.int64)[owners], before[: len(owners)])
    if is_open.all() and (times > before).all():
        return np.full(len(fate), Fate.NEW, np.uint8)
    for point in np.flatnonzero(is_open).tolist():
        owner, timestamp_ms = owners[point], times[point]
        if timestamp_ms > newest[owner]:
            fate[point], newest[owner] = Fate.NEW, timestamp_ms
    return fate


def _among(positions: IntArray, chosen: frozenset[int]) -> npt.NDArray[np.bool_]:
    if not chosen:
        return np.zeros(len(positions), bool)
    return np.array([position in chosen for position in positions.tolist()], bool)
