"""The websocket `/v1/alerts?entity=&after=<cursor>`: alerts as they come, resumable without a gap.

We send {"cursor", "alert"}, {"cursor", "gap": {"missed"}} and, at once and after every silence,
{"heartbeat": Unix ms, "cursor"}. Whatever a client sends is read and ignored. We close with

4400  the cursor, the entity or the name of a parameter cannot be read
1012  the service stops; come back with the last cursor
1013  the client is too slow, we have too many clients, or Redis is away; come back later
"""

import asyncio
import time
from contextlib import suppress
from typing import Final, NoReturn

from starlette.websockets import WebSocket, WebSocketDisconnect

from service.errors import BadInput, GaugewatchError
from service.stream.subscription import Event
from service.web.alert_stream import Form, send_events, stop_when_slow, until_one_ends
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
                send_events(
                    subscription,
                    services.settings,
                    form=Form(_heartbeat, _message),
                    send=websocket.send_text,
                ),
                _ignore_messages(websocket),
                stop_when_slow(subscription),
            )
        finally:
            services.subscribers.discard(websocket)


async def _ignore_messages(websocket: WebSocket) -> NoReturn:
    while True:
        message = await websocket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1005))


def _heartbeat(cursor: str) -> str:
    return f'{{"heartbeat":{time.time_ns() // 1_000_000},"cursor":"{cursor}"}}'


def _message(event: Event) -> str:
    """The alert goes out as the bytes that were committed, not encoded anew."""
    if event.alert is None:
        return f'{{"cursor":"{event.cursor}","gap":{{"missed":{event.missed}}}}}'
    return f'{{"cursor":"{event.cursor}","alert":{event.alert.decode()}}}'
