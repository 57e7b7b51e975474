"""The websocket `/v1/alerts?entity=&after=<cursor>`: alerts as they come, resumable without a gap.

We send {"cursor", "alert"}, {"cursor", "gap": {"missed"}} and, at once and after every silence,
{"heartbeat": Unix ms, "cursor"}. Whatever a client sends is read and ignored. We close with

4400  the cursor, the entity or the name of a parameter cannot be read
1012  the service stops; come back with the last cursor
1013  the client is too slow, we have too many clients, or Redis is away; come back later
"""

import asyncio
import time
from collections.abc import Coroutine
from contextlib import suppress
from typing import Final, NoReturn

from starlette.websockets import WebSocket, WebSocketDisconnect

from service.errors import BadInput, GaugewatchError
from service.settings import Settings
from service.stream.cursor import encode_cursor
from service.stream.subscription import Event, SubscriberTooSlow, Subscription
from service.web.auth import SUBPROTOCOL
from service.web.faults import check_parameters, checked_entity
from service.web.services import Services

BAD_REQUEST: Final = 4400
TRY_LATER: Final = 1013
CLOSE_SECONDS: Final = 1.0  # that a goodbye may take before the connection is cut


async def alerts(websocket: WebSocket) -> None:
    """Serve one subscriber until it goes, is too slow, or we stop."""
    services: Services = websocket.app.state.services
    offered = websocket.scope.get("subprotocols", ())
    await websocket.accept(subprotocol=SUBPROTOCOL if SUBPROTOCOL in offered else None)
    try:
        await _serve(websocket, services)
    except (WebSocketDisconnect, TimeoutError):
        pass  # it went, or takes nothing any more: there is nobody to say anything to
    except GaugewatchError as error:
        code = BAD_REQUEST if isinstance(error, BadInput) else TRY_LATER
        with suppress(WebSocketDisconnect, TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await websocket.close(code, error.code)


async def _serve(websocket: WebSocket, services: Services) -> None:
    check_parameters(websocket.query_params, "after", "entity")
    after, entity = (websocket.query_params.get(name) for name in ("after", "entity"))
    if entity is not None:
        checked_entity(entity, services.settings.max_entity_characters)
    async with services.feed.subscribe(after, entity=entity) as subscription:
        services.subscribers.add(websocket)
        try:
            await until_one_ends(
                _send_events(websocket, subscription, services.settings),
                _ignore_messages(websocket),
                stop_when_slow(subscription),
            )
        finally:
            services.subscribers.discard(websocket)


async def _send_events(
    websocket: WebSocket, subscription: Subscription, settings: Settings
) -> NoReturn:
    cursor = encode_cursor(subscription.history.position)
    text = _heartbeat(cursor)
    while True:
        async with asyncio.timeout(settings.send_seconds):
            await websocket.send_text(text)
        try:
            async with asyncio.timeout(settings.heartbeat_seconds):
                event = await anext(subscription)
        except TimeoutError:
            text = _heartbeat(idle_cursor(subscription, cursor))
        else:
            cursor, text = event.cursor, _message(event)


async def _ignore_messages(websocket: WebSocket) -> NoReturn:
    while True:
        message = await websocket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1005))


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


def idle_cursor(subscription: Subscription, sent: str) -> str:
    """Where we are in the whole log, once nothing is left to send; alerts of others move it too."""
    history = subscription.history
    is_read = not history.waiting and history.shard >= len(history.end.numbers)
    is_idle = is_read and subscription.queue.empty()
    return encode_cursor(subscription.position) if is_idle else sent


def _heartbeat(cursor: str) -> str:
    return f'{{"heartbeat":{time.time_ns() // 1_000_000},"cursor":"{cursor}"}}'


def _message(event: Event) -> str:
    """The alert goes out as the bytes that were committed, not encoded anew."""
    if event.alert is None:
        return f'{{"cursor":"{event.cursor}","gap":{{"missed":{event.missed}}}}}'
    return f'{{"cursor":"{event.cursor}","alert":{event.alert.decode()}}}'
