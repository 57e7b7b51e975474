"""Restoring: what Redis keeps of entities, back into the arena of the lane that scores them."""

from collections.abc import Callable, Sequence

import numpy as np
import structlog

from service.scoring.fold import Points, States
from service.scoring.offline import lockstep
from service.stream.anew import TIMESTAMP, start_anew
from service.stream.arena import Held
from service.stream.commit import Layout
from service.stream.lane import Lane
from service.stream.rows import Rows, decided, written
from service.stream.silence import abandoned
from service.stream.store import Store
from service.stream.stored import Stored
from service.stream.swap import Leaving, can_take_over, carry_over

log: structlog.stdlib.BoundLogger = structlog.get_logger()

LaneOf = Callable[[Layout], Lane | None]  # who wrote in a layout, if that bundle can be opened
Tells = Callable[[str], bool]  # whether an entity has alerts that its bundle was not trained on


def restore(
    lane: Lane, store: Store, entities: Sequence[str], *, lane_of: LaneOf, tells: Tells
) -> list[Held]:
    """What is held of each entity, after loading and replaying what was not.

    An entity that another bundle scored last is taken over from it.
    """
    held = lane.arena.of(entities)
    absent = [entity for entity, one in zip(entities, held, strict=True) if one is None]
    if absent:
        _load(lane, store, absent, lane_of=lane_of, tells=tells)
        held = lane.arena.of(entities)
    return [one for one in held if one is not None]


def _load(
    lane: Lane, store: Store, absent: Sequence[str], *, lane_of: LaneOf, tells: Tells
) -> None:
    ours: list[tuple[str, Stored]] = []
    others: dict[Layout, list[str]] = {}
    new: list[tuple[str, Stored | None]] = []  # or damaged
    for entity, stored in zip(absent, store.load(absent), strict=True):
        if stored is not None and _is_whole(lane, stored):
            ours.append((entity, stored))
        elif stored is not None and stored.layout != lane.layout:
            others.setdefault(stored.layout, []).append(entity)
        else:
            new.append((entity, stored))
    start_anew(lane, store, new, old=lane)
    for (entity, stored), state in zip(ours, _replayed(lane, ours), strict=True):
        newest_ms = int(state["entity"]["timestamp_ms"]) if stored.seq else -1
        held = Held(-1, stored.token, stored.seq, newest_ms, waiting=stored.waiting)
        lane.arena.put(entity, state, held)
    for layout, names in others.items():
        _take_over(lane, lane_of(layout), store, names, tells=tells)


def _is_whole(lane: Lane, stored: Stored) -> bool:
    """Whether snapshot and rows are of this bundle, all there, and in order."""
    if stored.layout != lane.layout or len(stored.snapshot) != lane.fold.state_dtype.itemsize:
        return False
    if len(stored.rows) != (stored.seq - stored.snapshot_seq) * lane.row_dtype.itemsize:
        return False
    times = np.frombuffer(stored.rows, lane.row_dtype)["timestamp_ms"]
    first = np.frombuffer(stored.snapshot, TIMESTAMP, count=1)
    return bool((np.diff(np.concatenate([first, times])) > 0).all())


def _is_told(lane: Lane, entity: str, tells: Tells) -> bool:
    """Whether incidents of an entity are told while this bundle scores it."""
    return entity in lane.fold.bundle.entity_indices or tells(entity)


def _replayed(lane: Lane, known: Sequence[tuple[str, Stored]]) -> States:
    """Snapshot + rows since, through the fold. What was decided is read, not decided again."""
    if not known:
        return np.zeros(0, lane.fold.state_dtype)
    states = np.concatenate([lane.fold.decode(stored.snapshot) for _, stored in known])
    packed = np.frombuffer(b"".join(stored.rows for _, stored in known), lane.row_dtype)
    counts = [len(stored.rows) // lane.row_dtype.itemsize for _, stored in known]
    starts = np.cumsum([0, *counts])
    index = lane.entity_indices([entity for entity, _ in known])
    for time, members in lockstep(counts):
        rows = packed[starts[members] + time]
        points = Points(index[members], rows["timestamp_ms"], rows["values"])
        states[members], _ = lane.fold.step(states[members], points, decided(rows))
    return states


def _take_over(
    lane: Lane, old: Lane | None, store: Store, entities: Sequence[str], *, tells: Tells
) -> None:
    """Entities that another bundle scored last; fresh where that is gone, or unlike ours."""
    whole: list[tuple[str, Stored]] = []
    rows: list[Rows] = []
    others: list[tuple[str, Stored | None]] = []
    for entity, found in zip(entities, store.recent(entities, lane.layout.capacity), strict=True):
        stored, window = found or (None, b"")
        if old is not None and stored is not None and _can_go(old, lane, stored):
            whole.append((entity, stored))
            rows.append(written(np.frombuffer(window, old.row_dtype)))
        else:
            others.append((entity, stored))
    start_anew(lane, store, others, old=old)
    if old is None or not whole:
        return
    states = _replayed(old, whole)
    leaving = [
        Leaving(entity, state, own)
        for (entity, _), state, own in zip(whole, states, rows, strict=True)
    ]
    for (entity, stored), carried in zip(whole, carry_over(old, lane, leaving), strict=True):
        newest_ms = int(carried.state["entity"]["timestamp_ms"]) if stored.seq else -1
        held = Held(-1, stored.token, stored.seq, newest_ms, needs_snapshot=True)
        held.waiting = stored.waiting
        held.rows = carried.rows.tobytes()
        if _is_told(old, entity, tells) and not _is_told(lane, entity, tells):
            _give_up(lane, held, entity, carried.state)
        lane.arena.put(entity, carried.state, held)
    log.info("entities taken over", bundle=lane.fold.bundle.title, entities=len(whole))


def _give_up(lane: Lane, held: Held, entity: str, state: np.void) -> None:
    """End an open incident, of which nothing would be told any more."""
    incident = state["entity"]["incident"]
    if not incident["is_open"]:
        return
    if incident["is_public"]:
        opened_ms, title = int(incident["opened_ms"]), lane.reader.title
        held.ended = (abandoned(entity, opened_ms, held.timestamp_ms, model=title),)
    incident["is_open"], incident["ended_ms"] = False, held.timestamp_ms


def _can_go(old: Lane, new: Lane, stored: Stored) -> bool:
    return can_take_over(old, new) and _is_whole(old, stored)
