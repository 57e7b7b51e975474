"""Two ways to keep one more point of every entity in Redis, and the bytes that either takes."""

import os
from collections.abc import Sequence
from typing import Protocol, cast

from msgspec import Struct
from redis import Redis

from benchmarks.stores import PATIENT
from service.stream.commit import Commit, Layout, Outcome, snapshot_due
from service.stream.keys import entity_keys
from service.stream.lane import IDEMPOTENT_ROWS, Lane
from service.stream.store import Store

ENTITIES = [f"bench-{number:03d}" for number in range(256)]
WINDOW = 100  # points, as OmniAnomaly has
SHARDS = PATIENT.shards


class Memory(Struct, frozen=True):
    """Bytes of an entity in Redis, means over entities with full rings."""

    kept: float  # MEMORY USAGE of its keys
    payload: float  # what is in them
    list_kept: float
    list_payload: float


class Writes(Protocol):
    """A way to keep one more point of every entity."""

    def prepare(self) -> None: ...

    def write(self) -> None: ...


class Commits:
    """Ours: prepared commits of the form that the shipped bundle has."""

    def __init__(self, store: Store, lane: Lane) -> None:
        self.layout = Layout(lane.row_dtype.itemsize, WINDOW + IDEMPOTENT_ROWS, "bench")
        self.snapshot = os.urandom(lane.fold.state_dtype.itemsize)
        self._store = store
        self._tokens = dict.fromkeys(ENTITIES, b"")
        self._seq = 0
        self._next: list[Commit] = []

    def prepare(self) -> None:
        """The next row of every entity."""
        before, self._seq = self._seq, self._seq + 1
        row = os.urandom(self.layout.row_bytes)
        self._next = [
            Commit(
                entity=entity,
                expected_token=self._tokens[entity],
                new_token=os.urandom(16),
                seq=self._seq,
                rows=row,
                row_count=1,
                layout=self.layout,
                snapshot=self.snapshot if snapshot_due(entity, before, self._seq) else None,
            )
            for entity in ENTITIES
        ]

    def write(self) -> None:
        """Commit them."""
        outcomes = self._store.commit(self._next)
        if outcomes != [Outcome.OK] * len(ENTITIES):
            raise RuntimeError(f"expected every commit to be made, got {set(outcomes)}")
        self._tokens = {one.entity: one.new_token for one in self._next}

    def fill(self) -> None:
        """Full rings, grown as in service: row after row."""
        for _ in range(self.layout.capacity + 1):
            self.prepare()
            self.write()


class Lists:
    """What most would write: a list of packed values per entity, and the window read back."""

    def __init__(self, redis: Redis, value_bytes: int) -> None:
        self._redis, self._bytes = redis, value_bytes
        self._row = b""

    def prepare(self) -> None:
        """The next row."""
        self._row = os.urandom(self._bytes)

    def write(self) -> None:
        """Append it everywhere and read every window."""
        pipeline = self._redis.pipeline(transaction=False)
        for entity in ENTITIES:
            key = f"list:{entity}"
            pipeline.rpush(key, self._row)
            pipeline.ltrim(key, -WINDOW, -1)
            pipeline.lrange(key, 0, -1)
        pipeline.execute()

    def fill(self) -> None:
        """Full windows."""
        for _ in range(WINDOW):
            self.prepare()
            self.write()


def memory_of(redis: Redis) -> Memory:
    """Of what both ways have written."""
    keys = [key for entity in ENTITIES for key in entity_keys(entity, SHARDS)]
    lists = [f"list:{entity}".encode() for entity in ENTITIES]
    strings: list[int] = [redis.strlen(key) for key in keys]
    rows = (len(row) for key in lists for row in cast(list[bytes], redis.lrange(key, 0, -1)))
    count = len(ENTITIES)
    return Memory(
        kept=_usage(redis, keys) / count,
        payload=sum(strings) / count,
        list_kept=_usage(redis, lists) / count,
        list_payload=sum(rows) / count,
    )


def _usage(redis: Redis, keys: Sequence[bytes]) -> int:
    return sum(redis.memory_usage(key, samples=0) or 0 for key in keys)
