"""What the websocket and server-sent events of alerts share: what is sent when, and who ends it."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Generic, NoReturn, TypeVar

from service.settings import Settings
from service.stream.cursor import encode_cursor
from service.stream.subscription import Event, SubscriberTooSlow, Subscription

Sent = TypeVar("Sent", str, bytes)


@dataclass(frozen=True)
class Form(Generic[Sent]):
    """How a subscriber is told: each as one piece."""

    heartbeat: Callable[[str], Sent]  # by the cursor to come back with
    message: Callable[[Event], Sent]


async def send_events(
    subscription: Subscription,
    settings: Settings,
    *,
    form: Form[Sent],
    send: Callable[[Sent], Awaitable[None]],
) -> NoReturn:
    """A heartbeat at once and after every silence, and each event as it comes.

    Raises TimeoutError when a subscriber takes nothing any more.
    """
    cursor = encode_cursor(subscription.history.position)
    piece = form.heartbeat(cursor)
    while True:
        async with asyncio.timeout(settings.send_seconds):
            await send(piece)
        try:
            async with asyncio.timeout(settings.heartbeat_seconds):
                event = await anext(subscription)
        except TimeoutError:
            piece = form.heartbeat(_idle_cursor(subscription, cursor))
        else:
            cursor, piece = event.cursor, form.message(event)


async def stop_when_slow(subscription: Subscription) -> NoReturn:
    """For a subscriber whose sending hangs, and who never comes back to ask for the next event."""
    await subscription.too_slow.wait()
    raise SubscriberTooSlow("more alerts were waiting than a subscriber may let wait")


async def until_one_ends(*parts: Coroutine[None, None, NoReturn]) -> None:
    """Run all; when one ends, which is by raising, cancel the others and raise the same."""
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _idle_cursor(subscription: Subscription, sent: str) -> str:
    """Where we are in the whole log, once nothing is left to send; alerts of others move it too."""
    history = subscription.history
    is_read = not history.waiting and history.shard >= len(history.end.numbers)
    is_idle = is_read and subscription.queue.empty()
    return encode_cursor(subscription.position) if is_idle else sent
