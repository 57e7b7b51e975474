"""A subscription: what one subscriber receives, first its history, then what is new.

The alerts of a shard are numbered without holes, so everyone who knows the last number seen can
tell repeats from gaps, and count what trimming took.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Self

from service.errors import GaugewatchError
from service.stream.alert_log import PAGE, Entry
from service.stream.cursor import Position, encode_cursor


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


def follow(position: Position, entry: Entry, *, entity: str | None) -> tuple[list[Event], Position]:
    """What a reader at `position` sees of the next entry: nothing if known, gaps made visible."""
    shard, number = entry.shard, entry.number
    if number <= position.numbers[shard]:
        return [], position
    if entry.alert is None:
        return [], position.moved(shard, number)  # its number says nothing of how many are missing
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
