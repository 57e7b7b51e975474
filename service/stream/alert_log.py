"""The alert log as Redis keeps it: one stream per shard, read in pages.

Waits for a Redis that is away, so that readers miss nothing.
"""

import asyncio
import os
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, NamedTuple, TypeVar

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisClusterException, RedisError
from redis.typing import KeyT, StreamIdT

from service.errors import StoreUnavailable
from service.stream.alert_nodes import BLOCK_MS, alert_nodes
from service.stream.cursor import LOG_BYTES, Position
from service.stream.keys import LOG_KEY, alert_count_key, alert_stream_key

Answer = TypeVar("Answer")
log: structlog.stdlib.BoundLogger = structlog.get_logger()

PAGE: Final = 500
MAX_PAGES_AT_ONCE: Final = 8  # connections that reading history may take
FIRST_PAUSE_SECONDS: Final = 0.05
MAX_PAUSE_SECONDS: Final = 2.0
LAST: Final = 2**64 - 1  # second half of a stream id; ours have 0
_AWAY: Final = (RedisError, RedisClusterException)


class Entry(NamedTuple):
    """One alert as it lies in the log; `alert` is None if somebody else put something there."""

    shard: int
    number: int
    entity: str = ""
    alert: bytes | None = None


class Read(NamedTuple):
    """A read that waits for entries of some shards, after these numbers."""

    numbers: tuple[int, ...]
    task: asyncio.Task[list[Entry]]


class AlertLog:
    """Reads the streams of all shards."""

    def __init__(self, url: str, shards: int) -> None:
        self._shards = range(shards)
        self._pages = asyncio.Semaphore(MAX_PAGES_AT_ONCE)
        self._nodes = alert_nodes(url)
        self._reads: dict[tuple[int, ...], Read] = {}  # by shards

    async def close(self) -> None:
        """Let go of the connections."""
        tasks = [read.task for read in self._reads.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._nodes.close()

    async def current(self) -> Position:
        """The log as it is in Redis, now; names it if it is new. Raises StoreUnavailable."""
        try:
            return await self._current()
        except _AWAY as error:
            self._nodes.doubt()
            raise StoreUnavailable(f"Redis did not answer: {error}") from error

    async def awaited(self) -> Position:
        """The same, as soon as Redis answers."""
        return await self._patiently(self._current)

    async def after(self, position: Position) -> list[Entry]:
        """The next entries of some shards; waits a while for them to come."""
        return await self._patiently(lambda: self._after(position))

    async def page(self, shard: int, first: int, last: int) -> list[Entry]:
        """Entries `first` to `last` of a shard, the first PAGE of them."""

        async def read() -> Any:
            key = alert_stream_key(shard)
            ((redis, _),) = await self._nodes.commands([shard], alert_stream_key)
            return await redis.xrange(key, f"{first}-0", f"{last}-0", count=PAGE)

        async with self._pages:
            return [_entry(shard, *item) for item in await self._patiently(read)]

    async def _after(self, position: Position) -> list[Entry]:
        """What comes first; the other reads go on, and are looked at the next time."""
        for redis, shards in await self._nodes.commands(self._shards, alert_stream_key):
            if (key := tuple(shards)) not in self._reads:
                numbers = tuple(position.numbers[shard] for shard in shards)
                task = asyncio.create_task(_read(redis, shards, numbers))
                self._reads[key] = Read(numbers, task)
        tasks = [read.task for read in self._reads.values()]
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        ended = [(key, read) for key, read in self._reads.items() if read.task in done]
        for key, _ in ended:
            del self._reads[key]
        if failures := [error for _, read in ended if (error := read.task.exception())]:
            raise failures[0]
        found: list[Entry] = []
        for key, read in ended:
            if read.numbers == tuple(position.numbers[shard] for shard in key):
                found += read.task.result()  # otherwise the log has begun anew since
        return found

    async def _current(self) -> Position:
        """The numbers are the same that commit.lua counts on from."""
        fresh = os.urandom(LOG_BYTES)
        groups = await self._nodes.pipelines([None, *self._shards], _key)
        parts = await asyncio.gather(*(_ends(redis, some, fresh) for redis, some in groups))
        name = b"".join(name for name, _ in parts)
        ends = {shard: end for _, some in parts for shard, end in some.items()}
        return Position(name, tuple(ends[shard] for shard in self._shards))

    async def _patiently(self, action: Callable[[], Awaitable[Answer]]) -> Answer:
        """Try until Redis is back: subscribers wait with us, and miss nothing."""
        pause_seconds = FIRST_PAUSE_SECONDS
        while True:
            try:
                answer = await action()
            except _AWAY as error:
                self._nodes.doubt()
                log.warning("alert feed waits for Redis", error=str(error))
            else:
                _obey_cancellation()
                return answer
            await asyncio.sleep(random.uniform(0.5, 1.0) * pause_seconds)
            pause_seconds = min(2 * pause_seconds, MAX_PAUSE_SECONDS)


def _key(item: int | None) -> str | bytes:
    return LOG_KEY if item is None else alert_stream_key(item)


async def _ends(
    redis: Redis, some: Sequence[int | None], fresh: bytes
) -> tuple[bytes, dict[int, int]]:
    """Name of the log, or nothing where it is not kept, and the last number of each shard."""
    shards = [shard for shard in some if shard is not None]
    async with redis.pipeline(transaction=False) as pipeline:
        if None in some:
            pipeline.set(LOG_KEY, fresh, nx=True, get=True)
        for shard in shards:
            pipeline.get(alert_count_key(shard))
            pipeline.xrevrange(alert_stream_key(shard), count=1)
        replies = await pipeline.execute()
    name = (replies.pop(0) or fresh) if None in some else b""
    newest = [_number(entries[0][0]) if entries else 0 for entries in replies[1::2]]
    ends = (max(int(count or 0), last) for count, last in zip(replies[::2], newest, strict=True))
    return name, dict(zip(shards, ends, strict=True))


async def _read(redis: Redis, shards: Sequence[int], numbers: Sequence[int]) -> list[Entry]:
    keys = {alert_stream_key(shard): shard for shard in shards}
    streams: dict[KeyT, StreamIdT] = {
        key: f"{number}-{LAST}" for key, number in zip(keys, numbers, strict=True)
    }
    reply: Any = await redis.xread(streams, count=PAGE, block=BLOCK_MS)
    return [_entry(keys[key], *item) for key, items in reply for item in items]


def _obey_cancellation() -> None:
    """Tell a cancelled task again: redis-py (8.1) swallows it while a reply is on its way."""
    task = asyncio.current_task()
    if task and task.cancelling():
        raise asyncio.CancelledError


def _entry(shard: int, stream_id: bytes, fields: dict[bytes, bytes]) -> Entry:
    number = _number(stream_id)
    try:
        return Entry(shard, number, fields[b"entity"].decode(), fields[b"alert"])
    except (KeyError, UnicodeDecodeError):
        log.warning("not an alert, skipped", shard=shard, stream_id=stream_id.decode())
        return Entry(shard, number)


def _number(stream_id: bytes) -> int:
    return int(stream_id.partition(b"-")[0])
