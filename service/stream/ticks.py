"""Ticks: what happens to an entity without a point.

Every commit leaves a deadline in Redis. What waits then is scored; of what is silent then, that is
told once, by whichever replica sees it first: an open incident ends, and one of silence opens,
which the next point resolves. Such a change is a commit like any other, without rows.
"""

from collections.abc import Sequence

from redis import Redis

from service.scoring.fold import States
from service.stream.arena import Held
from service.stream.commit import Commit
from service.stream.drafts import draft_without_rows
from service.stream.keys import deadline_key, shard_of
from service.stream.lane import Lane
from service.stream.silence import abandoned, accepted, fallen_silent, silence_abandoned
from service.stream.store import MAX_ENTITIES_PER_CALL, Store

MAX_DUE_PER_SHARD = 64  # told at once; the others a moment later

Pair = tuple[str, Held]  # an entity, and what is held of it


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


def fall_silent(lane: Lane, pairs: Sequence[Pair]) -> tuple[States, list[Commit]]:
    """States of entities after they fell silent, and the commits that say so."""
    before = lane.arena.states([held for _, held in pairs])
    after = lane.fold.fall_silent(before)
    title, silence_ms = lane.reader.title, lane.silence_ms
    commits = []
    for number, (entity, one) in enumerate(pairs):
        snapshot = after[number].tobytes()
        told = fallen_silent(entity, before[number], snapshot, silence_ms=silence_ms, model=title)
        commits.append(draft_without_rows(lane, entity, one, snapshot=snapshot, told=told))
    return after, commits


def go_on(lane: Lane, pairs: Sequence[Pair], *, now_ms: int) -> tuple[States, list[Commit]]:
    """States of entities as they are held, and commits that say so; silence is waited for anew."""
    states = lane.arena.states([held for _, held in pairs])
    due_ms = now_ms + lane.silence_ms if lane.silence_ms else 0
    commits = [
        draft_without_rows(lane, entity, held, snapshot=state.tobytes(), due_ms=due_ms)
        for (entity, held), state in zip(pairs, states, strict=True)
    ]
    return states, commits


def accept(lane: Lane, entity: str, held: Held, *, now_ms: int) -> tuple[States, Commit]:
    """The state (1,) of an entity after a person called its present normal, and the commit."""
    before = lane.arena.states([held])
    after = lane.fold.accept(before)
    told = accepted(entity, before[0], model=lane.reader.title)
    wait_ms = 0 if held.waiting else lane.silence_ms
    due_ms = now_ms + wait_ms if held.waiting or lane.silence_ms else 0
    commit = draft_without_rows(
        lane, entity, held, snapshot=after.tobytes(), told=told, due_ms=due_ms
    )
    return after, commit


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
