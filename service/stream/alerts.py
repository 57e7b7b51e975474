"""The alert log: one reader per process over the streams of all shards, and its subscribers.

Owns cursors, resuming and fan-out. The alerts of a shard are numbered without holes, so everyone
who knows the last number seen can tell repeats from gaps, and count what trimming took.
Order is promised per entity only.
"""

import asyncio
import base64
import os
import random
import zlib
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from operator import le, lt
from types import TracebackType
from typing import Annotated, Any, Final, Literal, NamedTuple, Self, TypeVar

import msgspec
import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.typing import KeyT, StreamIdT

from service.errors import BadCursor, GaugewatchError, Overloaded, StoreUnavailable
from service.stream.store import alert_count_key, alert_stream_key

Answer = TypeVar("Answer")
log: structlog.stdlib.BoundLogger = structlog.get_logger()

LOG_KEY: Final = "gw:alert_log"  # a random name, so that a log begun anew is not taken for the old
LOG_BYTES: Final = 8
EARLIEST: Final = ("0", "earliest")
PAGE: Final = 500
BLOCK_MS: Final = 1_000
MAX_PAGES_AT_ONCE: Final = 8  # connections that reading history may take
FIRST_PAUSE_SECONDS: Final = 0.05
MAX_PAUSE_SECONDS: Final = 2.0
MAX_CURSOR_CHARS: Final = 8_192
_Number = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
_Cursor = tuple[Literal[1], bytes, tuple[_Number, ...]]  # version, log, last number seen per shard
_DECODER: Final = msgspec.msgpack.Decoder(_Cursor)


class SubscriberTooSlow(GaugewatchError):
    """The queue of this subscriber is full; it may resume by its last cursor."""

    status = 503
    code = "subscriber_too_slow"


@dataclass(frozen=True)
class Event:
    """An alert, or (`alert` is None) a gap: `missed` alerts are no longer kept.

    A log begun anew is a gap of which nobody knows the length: `missed` is 0.
    """

    cursor: str  # resumes after this event
    alert: bytes | None
    missed: int = 0


class Position(NamedTuple):
    """How far a reader is in one alert log."""

    log: bytes
    numbers: tuple[int, ...]  # last number seen, per shard

    def moved(self, shard: int, number: int) -> "Position":
        """The same, after `number` of `shard`."""
        return Position(self.log, (*self.numbers[:shard], number, *self.numbers[shard + 1 :]))


class Entry(NamedTuple):
    """One alert as it lies in the log."""

    shard: int
    number: int
    entity: str
    alert: bytes


def encode_cursor(position: Position) -> str:
    """Opaque and url-safe; the checksum tells ours from anybody else's."""
    payload = msgspec.msgpack.encode((1, *position))
    sealed = zlib.crc32(payload).to_bytes(4) + payload
    return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()


def decode_cursor(cursor: str, *, shards: int) -> Position:
    """The inverse; raises BadCursor for anything that we did not give."""
    refusal = BadCursor("expected a cursor as it came with an alert, came another text")
    if len(cursor) > MAX_CURSOR_CHARS or not cursor.isascii():
        raise refusal
    try:
        sealed = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        _, log, numbers = _DECODER.decode(sealed[4:])
    except (ValueError, msgspec.MsgspecError):
        raise refusal from None
    position = Position(log, numbers)
    if len(numbers) != shards or len(log) != LOG_BYTES or encode_cursor(position) != cursor:
        raise refusal
    return position


def follow(position: Position, entry: Entry, *, entity: str | None) -> tuple[list[Event], Position]:
    """What a reader at `position` sees of the next entry: nothing if known, gaps made visible."""
    shard, number = entry.shard, entry.number
    if number <= position.numbers[shard]:
        return [], position
    events, position = skip(position, shard, number=number - 1)
    position = position.moved(shard, number)
    if entity in (None, entry.entity):
        events.append(Event(encode_cursor(position), entry.alert))
    return events, position


def skip(position: Position, shard: int, *, number: int) -> tuple[list[Event], Position]:
    """Alerts up to `number` are no longer there: a gap, if there were any."""
    missed = number - position.numbers[shard]
    if missed <= 0:
        return [], position
    position = position.moved(shard, number)
    return [Event(encode_cursor(position), alert=None, missed=missed)], position


@dataclass(eq=False)
class History:
    """Entries from `position` to `end`, read page by page; safe to cancel at any time."""

    position: Position
    end: Position
    entity: str | None
    read: Callable[[int, int, int], Awaitable[list[Entry]]]  # shard, first, last number
    waiting: deque[Event] = field(default_factory=deque)
    only_kept: bool = False  # what was trimmed is not asked for, hence no gap
    shard: int = 0

    async def next(self) -> Event | None:
        """The next event, or None at the end."""
        while not self.waiting and self.shard < len(self.end.numbers):
            await self._fetch(self.shard, self.end.numbers[self.shard])
        return self.waiting.popleft() if self.waiting else None

    async def _fetch(self, shard: int, last: int) -> None:
        first = self.position.numbers[shard] + 1
        page = await self.read(shard, first, last) if first <= last else []
        if self.only_kept and first == 1:
            kept_from = page[0].number if page else last + 1
            self.position = self.position.moved(shard, kept_from - 1)
        for entry in page:
            events, self.position = follow(self.position, entry, entity=self.entity)
            self.waiting.extend(events)
        if len(page) < PAGE:
            events, self.position = skip(self.position, shard, number=last)
            self.waiting.extend(events)
            self.shard += 1


@dataclass(eq=False)
class Subscription:
    """What one subscriber receives, as an async iterator: first its history, then what is new.

    `too_slow` is set when its queue overflows, for those who hang in sending and not in here.
    """

    position: Position  # of the last entry offered
    history: History
    queue: asyncio.Queue[Event]
    too_slow: asyncio.Event = field(default_factory=asyncio.Event)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        event = await self.history.next()
        if event is not None:
            return event
        if self.too_slow.is_set():
            raise SubscriberTooSlow(f"{self.queue.maxsize} alerts were waiting and another came")
        return await self.queue.get()

    def offer(self, entry: Entry) -> None:
        """Queue an entry of the live log."""
        events, self.position = follow(self.position, entry, entity=self.history.entity)
        for event in events:
            self._put(event)

    def restart(self, position: Position) -> None:
        """The log has begun anew, or lost its end."""
        if position.log != self.position.log:
            self.history.shard = len(position.numbers)  # nothing of the old log is left to read
        self.position = position
        self._put(Event(encode_cursor(position), alert=None))

    def _put(self, event: Event) -> None:
        try:
            self.queue.put_nowait(event)
        except asyncio.QueueFull:
            self.too_slow.set()


class AlertFeed:
    """Reads the alert log once for the whole process and hands it to every subscriber."""

    def __init__(
        self, url: str, shards: int, *, queue_size: int = 1_000, max_subscribers: int = 1_000
    ) -> None:
        self._shards = range(shards)
        self._queue_size = queue_size
        self._max_subscribers = max_subscribers
        self._subscriptions: set[Subscription] = set()
        self._pages = asyncio.Semaphore(MAX_PAGES_AT_ONCE)
        self._position = Position(b"", ())
        self._reader: asyncio.Task[None] | None = None
        self._client = Redis.from_url(
            url,
            protocol=2,
            driver_info=None,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=2 * BLOCK_MS / 1000,
            socket_connect_timeout=BLOCK_MS / 1000,
        )

    async def __aenter__(self) -> Self:
        self._position = await self._promptly(self._current)
        self._reader = asyncio.create_task(self._read(), name="alert feed")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            while self._reader and not self._reader.done():
                self._reader.cancel()  # again and again: see _obey_cancellation
                await asyncio.wait([self._reader], timeout=FIRST_PAUSE_SECONDS)
        finally:
            await self._client.aclose()

    @asynccontextmanager
    async def subscribe(
        self, after: str | None = None, *, entity: str | None = None
    ) -> AsyncIterator[Subscription]:
        """Events after a cursor, after nothing (`earliest`), or from now on (None)."""
        start, is_broken = await self._start(after)
        if len(self._subscriptions) >= self._max_subscribers:
            raise Overloaded(f"{self._max_subscribers} subscribers are connected, the most allowed")
        end = self._position  # no await from here to `add`: what comes later comes by the queue
        if start.log != end.log:
            start, is_broken = Position(end.log, (0,) * len(self._shards)), True
        live = Position(end.log, tuple(map(max, start.numbers, end.numbers)))
        history = History(start, end, entity, self._page, only_kept=after in EARLIEST)
        if is_broken:
            history.waiting.append(Event(encode_cursor(start), alert=None))
        subscription = Subscription(live, history, asyncio.Queue(self._queue_size))
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)

    async def _start(self, after: str | None) -> tuple[Position, bool]:
        """Where to start, and whether the log has since begun anew or lost its end."""
        nothing = Position(self._position.log, (0,) * len(self._shards))
        if after is None:
            return self._position, False
        if after in EARLIEST:
            return nothing, False
        cursor = decode_cursor(after, shards=len(self._shards))
        if cursor.log != self._position.log:
            return nothing, True
        if all(map(le, cursor.numbers, self._position.numbers)):
            return cursor, False
        current = await self._promptly(self._current)  # another process may be ahead of our reader
        if current.log != cursor.log:
            return nothing, True
        start = Position(cursor.log, tuple(map(min, cursor.numbers, current.numbers)))
        return start, start != cursor

    async def _read(self) -> None:
        while True:
            self._follow_restarts(await self._patiently(self._current))
            for entry in await self._patiently(self._new_entries):
                self._position = self._position.moved(entry.shard, entry.number)
                for subscription in tuple(self._subscriptions):
                    subscription.offer(entry)
                self._drop_slow()
                await asyncio.sleep(0)  # let fast subscribers take it before the next one

    def _follow_restarts(self, current: Position) -> None:
        known = self._position
        if current.log != known.log:
            self._position = Position(current.log, (0,) * len(self._shards))
        elif any(map(lt, current.numbers, known.numbers)):
            self._position = Position(known.log, tuple(map(min, current.numbers, known.numbers)))
        else:
            return
        for subscription in tuple(self._subscriptions):
            subscription.restart(self._position)
        self._drop_slow()

    def _drop_slow(self) -> None:
        self._subscriptions -= {each for each in self._subscriptions if each.too_slow.is_set()}

    async def _current(self) -> Position:
        """The log as it is in Redis; names it if it is new."""
        fresh = os.urandom(LOG_BYTES)
        named: Any = await self._client.set(LOG_KEY, fresh, nx=True, get=True)
        counts = await self._client.mget([alert_count_key(shard) for shard in self._shards])
        return Position(named or fresh, tuple(int(count or 0) for count in counts))

    async def _new_entries(self) -> list[Entry]:
        keys = {alert_stream_key(shard): shard for shard in self._shards}
        numbers = self._position.numbers
        streams: dict[KeyT, StreamIdT] = {key: f"{numbers[keys[key]]}-0" for key in keys}
        reply: Any = await self._client.xread(streams, count=PAGE, block=BLOCK_MS)
        return [_entry(keys[key], *item) for key, items in reply for item in items]

    async def _page(self, shard: int, first: int, last: int) -> list[Entry]:
        def read() -> Any:
            key = alert_stream_key(shard)
            return self._client.xrange(key, f"{first}-0", f"{last}-0", count=PAGE)

        async with self._pages:
            return [_entry(shard, *item) for item in await self._patiently(read)]

    async def _promptly(self, action: Callable[[], Awaitable[Answer]]) -> Answer:
        try:
            return await action()
        except RedisError as error:
            raise StoreUnavailable(f"Redis did not answer: {error}") from error

    async def _patiently(self, action: Callable[[], Awaitable[Answer]]) -> Answer:
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
    number = int(stream_id.partition(b"-")[0])
    return Entry(shard, number, fields[b"entity"].decode(), fields[b"alert"])
