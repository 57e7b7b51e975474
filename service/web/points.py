"""`POST /v1/points`, the hot route: bytes to points, points to verdicts, verdicts to bytes.

A raw ASGI application in front of the framework, whose layers cost more than all the rest.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from service.errors import BadInput
from service.stream.messages import Verdict
from service.stream.posted import Posted
from service.web.decoding import JSON, PACKED, Read, decode, form_of
from service.web.services import Services

PATH: Final = "/v1/points"


class VerdictsBody(msgspec.Struct, frozen=True):
    """One verdict per point, in the order of the points."""

    verdicts: Sequence[Verdict]


_ENCODERS: Final[Mapping[bytes, Callable[[VerdictsBody], bytes]]] = {
    JSON: msgspec.json.Encoder().encode,
    PACKED: msgspec.msgpack.Encoder().encode,
}


class PostPoints:
    """The route as an ASGI application."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        services: Services = scope["app"].state.services
        is_backfill = _is_backfill(scope)
        headers = dict(scope["headers"])
        try:
            read = form_of(headers.get(b"content-type", b""))
            body = await services.bodies.read(scope, receive)
        except ClientDisconnect:
            return
        media_type = PACKED if PACKED in headers.get(b"accept", b"").lower() else JSON
        points = _decoded(services, body, read)
        verdicts = await services.ingest.submit(points, is_backfill=is_backfill)
        services.metrics.count(verdicts, is_backfill=is_backfill)
        with services.metrics.stage("encode"):
            answer = _ENCODERS[media_type](VerdictsBody(verdicts))
        told = [(b"content-type", media_type), (b"content-length", b"%d" % len(answer))]
        await send({"type": "http.response.start", "status": 200, "headers": told})
        await send({"type": "http.response.body", "body": answer})


def _decoded(services: Services, body: bytes, read: Read) -> Posted:
    with services.metrics.stage("decode"):
        return decode(body, read, services.settings)


def _is_backfill(scope: Scope) -> bool:
    """Whether nobody is to be alerted: `?mode=backfill`."""
    query: bytes = scope["query_string"]
    if query in (b"", b"mode=live"):
        return False
    if query == b"mode=backfill":
        return True
    raise BadInput("expected no query parameters but mode, live or backfill")
