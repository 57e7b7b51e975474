"""Ticks: deadlines that pass without a point.

Every commit leaves a deadline in Redis. What passes it is told once, by whichever replica sees it
first: an open incident ends, and one of silence opens, which the next point resolves. The change is
a commit like any other, without rows.
"""

import secrets
from collections.abc import Sequence

import numpy as np
from redis import Redis

from service.scoring.fold import States
from service.stream.arena import Held
from service.stream.commit import TOKEN_BYTES, Commit
from service.stream.keys import shard_of, silence_key
from service.stream.lane import Lane
from service.stream.silence import fallen_silent
from service.stream.store import MAX_ENTITIES_PER_CALL, Store

MAX_DUE_PER_SHARD = 64  # told at once; the others a moment later


def due_entities(store: Store, now_ms: int) -> list[str]:
    """Entities whose deadline has passed, some of each shard. Raises StoreUnavailable."""
    shards = range(store.options.shards)

    def read(redis: Redis) -> list[list[bytes]]:
        pipeline = redis.pipeline(transaction=False)
        for shard in shards:
            key = silence_key(shard)
            pipeline.zrangebyscore(key, 1, now_ms, start=0, num=MAX_DUE_PER_SHARD)
        return list(pipeline.execute())

    due = [entity.decode() for found in store.ask(read) for entity in found]
    return due[:MAX_ENTITIES_PER_CALL]


def forget_deadlines(store: Store, entities: Sequence[str]) -> None:
    """Of entities that are not kept any more. Raises StoreUnavailable."""
    shards = store.options.shards

    def remove(redis: Redis) -> list[int]:
        pipeline = redis.pipeline(transaction=False)
        for entity in entities:
            pipeline.zrem(silence_key(shard_of(entity, shards)), entity)
        return list(pipeline.execute())

    store.ask(remove)


def fall_silent(
    lane: Lane, entities: Sequence[str], held: Sequence[Held]
) -> tuple[States, list[Commit]]:
    """States of entities after they fell silent, and the commits that say so."""
    before = lane.arena.states(held)
    after = lane.fold.fall_silent(before)
    return after, [_commit(lane, *one) for one in zip(entities, held, before, after, strict=True)]


def _commit(lane: Lane, entity: str, held: Held, before: np.void, after: np.void) -> Commit:
    told = fallen_silent(
        entity,
        before,
        after.tobytes(),
        silence_ms=lane.silence_ms,
        model=lane.reader.title,
    )
    return Commit(
        entity=entity,
        expected_token=held.token,
        new_token=secrets.token_bytes(TOKEN_BYTES),
        seq=held.seq,
        rows=held.rows,
        row_count=len(held.rows) // lane.layout.row_bytes,
        layout=lane.layout,
        snapshot=after.tobytes(),
        alerts=tuple(part.alert for part in told),
        incidents=told,
    )
