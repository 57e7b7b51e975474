"""Starting anew: entities that are new, or whose state nobody can go on with.

Their state is damaged, or of a bundle that is gone or unlike the one that scores them now. What is
open of them then, their records tell.
"""

from collections.abc import Sequence

import numpy as np
import structlog

from service.stream.arena import Held
from service.stream.lane import Lane
from service.stream.messages import Alert
from service.stream.silence import SILENCE_MARK, abandoned
from service.stream.store import Store
from service.stream.stored import Stored
from service.stream.swap import can_take_over
from service.stream.unended import unended
from service.stream.waiting import Dropped, read_waiting, waiting_points

log: structlog.stdlib.BoundLogger = structlog.get_logger()

TIMESTAMP = np.dtype("<i8")  # first in every row and every snapshot, whatever the bundle


def start_anew(
    lane: Lane, store: Store, entities: Sequence[tuple[str, Stored | None]], *, old: Lane | None
) -> None:
    """Fresh states into the arena; where there was a log, with their place in it.

    `old` scored them, None if that is gone. What is open is told to end with the next commit.
    """
    told = unended(store, [entity for entity, stored in entities if stored is not None])
    for entity, stored in entities:
        state, held = lane.fold.fresh(lane.entity_indices([entity])), Held(slot=-1)
        if stored is not None:
            log.warning("state started again", entity=entity, layout=stored.layout.digest)
            held.token, held.seq, held.needs_snapshot = stored.token, stored.seq, True
            held.timestamp_ms = _newest_ms(stored)
            _keep_waiting(lane, held, stored, entity=entity, old=old)
            state["entity"]["is_silent"] = _end(lane, held, told.get(entity, ()))
            state["entity"]["timestamp_ms"] = max(held.timestamp_ms, 0)
        lane.arena.put(entity, state[0], held)


def _newest_ms(stored: Stored) -> int:
    """Time of the newest point that was scored; -1: none was, or it cannot be read."""
    newest = stored.rows[-stored.layout.row_bytes :] or stored.snapshot
    if not stored.seq or len(newest) < TIMESTAMP.itemsize:
        return -1
    return int(np.frombuffer(newest, TIMESTAMP, count=1)[0])


def _end(lane: Lane, held: Held, told: Sequence[Alert]) -> bool:
    """End what is open of an entity; whether it is silent, which its next point ends."""
    silences = [one for one in told if one.incident.endswith(SILENCE_MARK)]
    held.timestamp_ms = max([held.timestamp_ms, *(one.opened_ms for one in silences)])
    held.ended = tuple(
        abandoned(one.entity, one.opened_ms, held.timestamp_ms, model=lane.reader.title)
        for one in told
        if one not in silences
    )
    return bool(silences)


def _keep_waiting(lane: Lane, held: Held, stored: Stored, *, entity: str, old: Lane | None) -> None:
    """What waits for its time, unless its values may be of other dimensions."""
    if old is not None and can_take_over(old, lane):
        held.waiting = stored.waiting
    elif stored.waiting and old is not None:
        points = len(read_waiting(stored.waiting, dimensions=old.fold.dimensions))
        held.dropped = Dropped("other_dimensions", points)
    elif stored.waiting:
        held.dropped = Dropped("bundle_gone", waiting_points(stored.waiting))
    if held.dropped is not None:
        log.warning("waiting points dropped", entity=entity, **held.dropped._asdict())
