"""`GET /v1/alerts`, server-sent events: what the websocket sends, for clients that only read.

Events `alert`, `gap` and `heartbeat`, each with its cursor as `id`; a browser that reconnects sends
the last one back as `Last-Event-ID`, which resumes without gap or repeat and is newer than the
`after` it began with. The stream ends when the service stops or the client is too slow: come back
with the cursor.
"""

import time
from functools import partial
from typing import Final, NoReturn

from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Scope, Send

from service.errors import GaugewatchError
from service.stream.subscription import Event, SubscriberTooSlow
from service.web.alert_stream import Form, send_events, stop_when_slow, until_one_ends
from service.web.faults import check_parameters, checked_entity
from service.web.services import Services

HEADERS: Final = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]


class GetAlerts:
    """The route as an ASGI application."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        services: Services = scope["app"].state.services
        check_parameters(request.query_params, "after", "entity")
        after = request.headers.get("last-event-id") or request.query_params.get("after")
        entity = request.query_params.get("entity")
        if entity is not None:
            checked_entity(entity, services.settings.max_entity_characters)
        async with services.feed.subscribe(after, entity=entity) as subscription:
            await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
            try:
                await until_one_ends(
                    send_events(
                        subscription,
                        services.settings,
                        form=Form(_heartbeat, _message),
                        send=partial(_send_body, send),
                    ),
                    _wait_for_the_end(receive),
                    stop_when_slow(subscription),
                    _stop_with_the_service(services),
                )
            except (ClientDisconnect, TimeoutError):
                return  # it went, or takes nothing any more
            except (SubscriberTooSlow, _Stopping):
                await send({"type": "http.response.body", "body": b""})


class _Stopping(GaugewatchError):
    """The service stops."""


async def _send_body(send: Send, body: bytes) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": True})


async def _wait_for_the_end(receive: Receive) -> NoReturn:
    while True:
        if (await receive())["type"] == "http.disconnect":
            raise ClientDisconnect


async def _stop_with_the_service(services: Services) -> NoReturn:
    await services.stopping.wait()
    raise _Stopping("the service stops")


def _heartbeat(cursor: str) -> bytes:
    return b"event: heartbeat\nid: %b\ndata: %d\n\n" % (cursor.encode(), time.time_ns() // 10**6)


def _message(event: Event) -> bytes:
    if event.alert is None:
        head, data = b"gap", b'{"missed":%d}' % event.missed
    else:
        head, data = b"alert", event.alert  # JSON has no line breaks
    return b"event: %b\nid: %b\ndata: %b\n\n" % (head, event.cursor.encode(), data)
