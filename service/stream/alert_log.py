"""The alert log as Redis keeps it: one stream per shard, read in pages.

Waits for a Redis that is away, so that readers miss nothing.
"""

import asyncio
import os
import random
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple, TypeVar

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.typing import KeyT, StreamIdT

from service.errors import StoreUnavailable
from service.stream.cursor import LOG_BYTES, Position
from service.stream.keys import LOG_KEY, alert_count_key, alert_stream_key

Answer = TypeVar("Answer")
log: structlog.stdlib.BoundLogger = structlog.get_logger()

PAGE: Final = 500
BLOCK_MS: Final = 1_000
MAX_PAGES_AT_ONCE: Final = 8  # connections that reading history may take
FIRST_PAUSE_SECONDS: Final = 0.05
MAX_PAUSE_SECONDS: Final = 2.0
LAST: Final = 2**64 - 1  # second half of a stream id; ours have 0


class Entry(NamedTuple):
    """One alert as it lies in the log; `alert` is None if somebody else put something there."""

    shard: int
    number: int
    entity: str = ""
    alert: bytes | None = None


class AlertLog:
    """Reads the streams of all shards."""

    def __init__(self, url: str, shards: int) -> None:
        self._shards = range(shards)
        self._pages = asyncio.Semaphore(MAX_PAGES_AT_ONCE)
        self._client = Redis.from_url(
            url,
            protocol=2,
            driver_info=None,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=2 * BLOCK_MS / 1000,
            socket_connect_timeout=BLOCK_MS / 1000,
        )

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.aclose()

    async def current(self) -> Position:
        """The log as it is in Redis, now; names it if it is new. Raises StoreUnavailable."""
        try:
            return await self._current()
        except RedisError as error:
            raise StoreUnavailable(f"Redis did not answer: {error}") from error

    async def awaited(self) -> Position:
        """The same, as soon as Redis answers."""
        return await _patiently(self._current)

    async def after(self, position: Position) -> list[Entry]:
        """The next entries of all shards; waits a while for them to come."""
        keys = {alert_stream_key(shard): shard for shard in self._shards}
        numbers = position.numbers
        streams: dict[KeyT, StreamIdT] = {key: f"{numbers[keys[key]]}-{LAST}" for key in keys}

        def read() -> Any:
            return self._client.xread(streams, count=PAGE, block=BLOCK_MS)

        reply = await _patiently(read)
        return [_entry(keys[key], *item) for key, items in reply for item in items]

    async def page(self, shard: int, first: int, last: int) -> list[Entry]:
        """Entries `first` to `last` of a shard, the first PAGE of them."""

        def read() -> Any:
            key = alert_stream_key(shard)
            return self._client.xrange(key, f"{first}-0", f"{last}-0", count=PAGE)

        async with self._pages:
            return [_entry(shard, *item) for item in await _patiently(read)]

    async def _current(self) -> Position:
        """The numbers are the same that commit.lua counts on from."""
        fresh = os.urandom(LOG_BYTES)
        async with self._client.pipeline(transaction=False) as pipeline:
            pipeline.set(LOG_KEY, fresh, nx=True, get=True)
            pipeline.mget([alert_count_key(shard) for shard in self._shards])
            for shard in self._shards:
                pipeline.xrevrange(alert_stream_key(shard), count=1)
            named, counts, *newest = await pipeline.execute()
        ends = [_number(entries[0][0]) if entries else 0 for entries in newest]
        return Position(named or fresh, tuple(map(max, map(int, (n or 0 for n in counts)), ends)))


async def _patiently(action: Callable[[], Awaitable[Answer]]) -> Answer:
    """Try until Redis is back: subscribers wait with us, and miss nothing."""
    pause_seconds = FIRST_PAUSE_SECONDS
    while True:
        try:
            answer = await action()
        except RedisError as error:
            log.warning("alert feed waits for Redis", error=str(error))
        else:
            _obey_cancellation()
            return answer
        await asyncio.sleep(random.uniform(0.5, 1.0) * pause_seconds)
        pause_seconds = min(2 * pause_seconds, MAX_PAUSE_SECONDS)


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
