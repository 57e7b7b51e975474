"""Who may come in: the rule of every route, bearer keys, and origins of websockets.

A path without a rule needs a key, so a forgotten rule shuts a door and opens none.
"""

import hashlib
import hmac
from enum import Enum
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from service.errors import GaugewatchError, NotAuthorised
from service.settings import Settings
from service.web.problems import problem

SUBPROTOCOL: Final = "gaugewatch.v1"
KEY_SUBPROTOCOL: Final = "gaugewatch.key."  # a browser cannot set the header; it can offer these


class Access(Enum):
    """Who may use a route."""

    OPEN = "open"
    KEY = "key"


ACCESS: Final = {
    "/livez": Access.OPEN,
    "/readyz": Access.OPEN,
    "/metrics": Access.KEY,
    "/openapi.json": Access.KEY,
    "/v1/points": Access.KEY,
    "/v1/entities/{entity:path}": Access.KEY,
    "/v1/models": Access.KEY,
    "/v1/alerts": Access.KEY,
}


class OriginRefused(GaugewatchError):
    """A page of another origin tried to open the websocket."""

    status = 403
    code = "origin_refused"


class Gate:
    """Middleware in front of every route."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._origins = {origin.lower() for origin in settings.origins}
        self._digests = [_digest(key.get_secret_value().encode()) for key in settings.api_keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan" and (refusal := self._refusal(scope)) is not None:
            await problem(refusal)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _refusal(self, scope: Scope) -> GaugewatchError | None:
        headers = Headers(scope=scope)
        if scope["type"] == "websocket" and not self._is_known_origin(headers):
            return OriginRefused("expected an origin of ours or one that is allowed")
        if not self._digests or ACCESS.get(scope["path"]) is Access.OPEN:
            return None
        if not self._is_key(_offered_key(scope, headers)):
            return NotAuthorised("expected a bearer key that is known here")
        return None

    def _is_known_origin(self, headers: Headers) -> bool:
        """Programs send none; a browser always does, and no page can change it."""
        origin = headers.get("origin")
        if origin is None or origin.lower() in self._origins:
            return True
        try:
            return urlsplit(origin).netloc.lower() == headers.get("host", "").lower() != ""
        except ValueError:
            return False

    def _is_key(self, offered: bytes) -> bool:
        digest = _digest(offered)
        matches = [hmac.compare_digest(digest, known) for known in self._digests]  # all, always
        return any(matches)


def _offered_key(scope: Scope, headers: Headers) -> bytes:
    scheme, _, key = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return key.strip().encode("latin-1")
    for subprotocol in scope.get("subprotocols", ()):
        if subprotocol.startswith(KEY_SUBPROTOCOL):
            return str(subprotocol).removeprefix(KEY_SUBPROTOCOL).encode("latin-1", "replace")
    return b""


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()
