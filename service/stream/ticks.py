"""Ticks: what happens to an entity without a point.

Every commit leaves a deadline in Redis. What waits then is scored; of what is silent then, that is
told once, by whichever replica sees it first: an open incident ends, and one of silence opens,
which the next point resolves, or ends with the entity when that is kept no longer. Such a change
is a commit like any other, without rows.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from redis import Redis

from service.scoring.fold import States
from service.stream.arena import Held
from service.stream.commit import Commit
from service.stream.drafts import draft_without_rows
from service.stream.keys import deadline_key, shard_of
from service.stream.lane import Lane
from service.stream.path import Attempted
from service.stream.reader import incident_id
from service.stream.silence import abandoned, accepted, fallen_silent, silence_abandoned
from service.stream.store import MAX_ENTITIES_PER_CALL, Store

MAX_DUE_PER_SHARD = 64  # told at once; the others a moment later
KEPT_SHARE = 0.99  # of the time to live of silent entities, after which what is open of them ends

Pair = tuple[str, Held]  # an entity, and what is held of it


class Due(NamedTuple):
    """Entities whose deadline has passed, by what happens to them; what waits is scored."""

    anew: list[Pair]  # go on without what had waited
    falls: list[Pair]  # fall silent now
    silent: list[Pair]  # are so already, and kept no longer if this is their deadline
    over: list[str]  # nobody waits for them
    later: list[str]  # in maintenance: it is told afterwards


class Ticked(NamedTuple):
    """What a tick found to do."""

    silent: int  # entities that fell silent
    alerts: list[bytes]  # that were written about it
    flushed: list[Attempted]  # points that had waited long enough


def due_entities(store: Store, now_ms: int) -> list[str]:
    """Entities whose deadline has passed, some of each shard. Raises StoreUnavailable."""

    def read(redis: Redis, shards: Sequence[int]) -> list[list[bytes]]:
        pipeline = redis.pipeline(transaction=False)
        for shard in shards:
            key = deadline_key(shard)
            pipeline.zrangebyscore(key, 1, now_ms, start=0, num=MAX_DUE_PER_SHARD)
        return list(pipeline.execute())

    due = [entity.decode() for found in store.shards.ask_all(read) for entity in found]
    return due[:MAX_ENTITIES_PER_CALL]


def sort_out(lane: Lane, pairs: Sequence[Pair], *, is_closed: Callable[[str], bool]) -> Due:
    """What happens to entities of which nothing waits.

    `is_closed` says of whom nothing may be told now.
    """
    due = Due([], [], [], [], [])
    is_silent = lane.arena.is_silent([held for _, held in pairs]).tolist()
    for (entity, held), silent in zip(pairs, is_silent, strict=True):
        if held.dropped is not None:
            due.anew.append((entity, held))
        elif silent:
            due.silent.append((entity, held))
        elif not held.seq or not lane.silence_ms:
            due.over.append(entity)
        elif is_closed(entity):
            due.later.append(entity)
        else:
            due.falls.append((entity, held))
    return due


def still_due(store: Store, pairs: Sequence[Pair], now_ms: int) -> list[Pair]:
    """Those whose deadline is that of the state held: another replica may have moved it since."""
    shards = store.options.shards

    def read(redis: Redis, some: Sequence[Pair]) -> list[float | None]:
        pipeline = redis.pipeline(transaction=False)
        for entity, _ in some:
            pipeline.zscore(deadline_key(shard_of(entity, shards)), entity)
        return list(pipeline.execute())

    deadlines = store.shards.ask_each(pairs, lambda pair: pair[0], read)
    return [
        pair
        for pair, due_ms in zip(pairs, deadlines, strict=True)
        if due_ms is not None and due_ms <= now_ms
    ]


def forget_deadlines(store: Store, entities: Sequence[str]) -> None:
    """Of entities that are not kept any more. Raises StoreUnavailable."""
    shards = store.options.shards

    def remove(redis: Redis, some: Sequence[str]) -> list[int]:
        pipeline = redis.pipeline(transaction=False)
        for entity in some:
            pipeline.zrem(deadline_key(shard_of(entity, shards)), entity)
        return list(pipeline.execute())

    store.shards.ask_each(entities, str, remove)


def postpone(store: Store, entities: Sequence[str], until_ms: int) -> None:
    """Look at entities again then, by our clock. Raises StoreUnavailable."""
    shards = store.options.shards

    def add(redis: Redis, some: Sequence[str]) -> list[int]:
        pipeline = redis.pipeline(transaction=False)
        for entity in some:
            pipeline.zadd(deadline_key(shard_of(entity, shards)), {entity: until_ms}, xx=True)
        return list(pipeline.execute())

    store.shards.ask_each(entities, str, add)


def fall_silent(
    lane: Lane, pairs: Sequence[Pair], *, forget_ms: int
) -> tuple[States, list[Commit]]:
    """States of entities after they fell silent, and commits; they are forgotten at `forget_ms`."""
    before = lane.arena.states([held for _, held in pairs])
    after = lane.fold.fall_silent(before)
    title, silence_ms = lane.reader.title, lane.silence_ms
    commits = []
    for number, (entity, one) in enumerate(pairs):
        snapshot = after[number].tobytes()
        told = fallen_silent(entity, before[number], snapshot, silence_ms=silence_ms, model=title)
        commit = draft_without_rows(
            lane, entity, one, snapshot=snapshot, told=told, due_ms=forget_ms
        )
        commits.append(commit)
    return after, commits


def go_on(
    lane: Lane, pairs: Sequence[Pair], *, now_ms: int, forget_ms: int
) -> tuple[States, list[Commit]]:
    """States of entities as they are held, and commits that say so; silence is waited for anew."""
    states = lane.arena.states([held for _, held in pairs])
    due_ms = [_due_ms(lane, state, now_ms=now_ms, forget_ms=forget_ms) for state in states]
    commits = [
        draft_without_rows(lane, entity, held, snapshot=state.tobytes(), due_ms=due)
        for (entity, held), state, due in zip(pairs, states, due_ms, strict=True)
    ]
    return states, commits


def _due_ms(lane: Lane, state: np.void, *, now_ms: int, forget_ms: int) -> int:
    """When something happens to an entity of which nothing waits; 0: nothing does."""
    if state["entity"]["is_silent"]:
        return forget_ms
    return now_ms + lane.silence_ms if lane.silence_ms else 0


def accept(
    lane: Lane, entity: str, held: Held, *, now_ms: int, forget_ms: int
) -> tuple[States, Commit]:
    """The state (1,) of an entity after a person called its present normal, and the commit."""
    before = lane.arena.states([held])
    after = lane.fold.accept(before)
    told = accepted(entity, before[0], model=lane.reader.title)
    due_ms = _due_ms(lane, before[0], now_ms=now_ms, forget_ms=forget_ms)
    due_ms = now_ms if held.waiting else due_ms
    commit = draft_without_rows(
        lane, entity, held, snapshot=after.tobytes(), told=told, due_ms=due_ms
    )
    return after, commit


def last_incident(lane: Lane, entity: str, held: Held) -> str:
    """Name of the open incident of an entity, or of the last one."""
    (state,) = lane.arena.states([held])
    return incident_id(entity, int(state["entity"]["incident"]["opened_ms"]))


def forgotten(lane: Lane, entity: str, held: Held) -> Commit:
    """The last commit of an entity: what was open of it ends."""
    (before,) = lane.arena.states([held])
    told = list(held.ended)
    newest_ms, incident = int(before["entity"]["timestamp_ms"]), before["entity"]["incident"]
    title = lane.reader.title
    if incident["is_open"] and incident["is_public"]:
        told.append(abandoned(entity, int(incident["opened_ms"]), newest_ms, model=title))
    if before["entity"]["is_silent"]:
        told.append(silence_abandoned(entity, held.timestamp_ms, model=title))
    return draft_without_rows(lane, entity, held, snapshot=before.tobytes(), told=told)
