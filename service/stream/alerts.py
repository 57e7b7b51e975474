"""The alert feed: one reader per process over the alert log, and its subscribers.

Owns resuming and fan-out. Order is promised per entity only.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from operator import le, lt
from types import TracebackType
from typing import Final, Self

import structlog

from service.errors import Overloaded
from service.stream.alert_log import FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS, AlertLog
from service.stream.cursor import Position, decode_cursor, encode_cursor
from service.stream.subscription import Event, History, Subscription

OnAlert = Callable[[bytes], None]

EARLIEST: Final = ("0", "earliest")
CANCEL_SECONDS: Final = 0.05
log: structlog.stdlib.BoundLogger = structlog.get_logger()


class AlertFeed:
    """Reads the alert log once for the whole process and hands it to every subscriber."""

    def __init__(
        self,
        url: str,
        shards: int,
        *,
        queue_size: int = 1_000,
        max_subscribers: int = 1_000,
        on_alert: OnAlert | None = None,
    ) -> None:
        """`on_alert` hears every alert that is written from now on, by whichever process."""
        self._shards = range(shards)
        self._queue_size = queue_size
        self._max_subscribers = max_subscribers
        self._on_alert = on_alert or (lambda _alert: None)
        self._subscriptions: set[Subscription] = set()
        self._log = AlertLog(url, shards)
        self._position = Position(b"", ())
        self._reader: asyncio.Task[None] | None = None
        self.is_reading = True  # a Redis that is away is waited for, and no failure

    async def __aenter__(self) -> Self:
        self._position = await self._log.current()
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
                self._reader.cancel()  # again and again: redis-py may swallow it
                await asyncio.wait([self._reader], timeout=CANCEL_SECONDS)
        finally:
            await self._log.close()

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
        history = History(start, end, entity, self._log.page, only_kept=after in EARLIEST)
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
        current = await self._log.current()  # another process may be ahead of our reader
        if current.log != cursor.log:
            return nothing, True
        start = Position(cursor.log, tuple(map(min, cursor.numbers, current.numbers)))
        return start, start != cursor

    async def _read(self) -> None:
        """Read for ever; what goes wrong is told, and tried again."""
        pause_seconds = FIRST_PAUSE_SECONDS
        while True:
            try:
                await self._read_page()
            except Exception:
                self.is_reading = False
                log.exception("alert feed cannot read")
                await asyncio.sleep(random.uniform(0.5, 1.0) * pause_seconds)
                pause_seconds = min(2 * pause_seconds, MAX_PAUSE_SECONDS)
            else:
                self.is_reading, pause_seconds = True, FIRST_PAUSE_SECONDS

    async def _read_page(self) -> None:
        self._follow_restarts(await self._log.awaited())
        for entry in await self._log.after(self._position):
            self._position = self._position.moved(entry.shard, entry.number)
            if entry.alert is not None:
                self._on_alert(entry.alert)
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
