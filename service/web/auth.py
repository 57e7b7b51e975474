"""Who may come in: the rule of every route, bearer keys, origins of websockets, names of ours.

A path without a rule needs a key, so a forgotten rule shuts a door and opens none. Without keys
the loopback is the only door, and a web page could open it by a name of its own that leads here
(DNS rebinding); so we answer to names of the loopback only.
"""

import hashlib
import hmac
import re
from enum import Enum
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from service.errors import GaugewatchError, NotAuthorised
from service.settings import Settings, is_loopback
from service.web import page
from service.web.problems import problem

SUBPROTOCOL: Final = "gaugewatch.v1"
KEY_SUBPROTOCOL: Final = "gaugewatch.key."  # a browser cannot set the header; it can offer these
READING: Final = ("GET", "HEAD", "OPTIONS")  # no page of another origin sees the answer
HOST: Final = re.compile(r"(?:\[(?P<v6>[0-9a-f:]+)\]|(?P<name>[0-9a-z.-]+))(?::\d{1,5})?")


class Access(Enum):
    """Who may use a route."""

    OPEN = "open"
    KEY = "key"


ACCESS: Final = {
    "/livez": Access.OPEN,
    "/readyz": Access.OPEN,
    "/metrics": Access.KEY,
    "/probe": Access.KEY,
    "/openapi.json": Access.KEY,
    "/v1/points": Access.KEY,
    "/v1/detect": Access.KEY,
    "/v1/entities": Access.KEY,
    "/v1/entities/{entity:path}": Access.KEY,
    "/v1/fleet": Access.KEY,
    "/v1/examples": Access.KEY,
    "/v1/examples/{bundle}/{entity:path}": Access.KEY,
    "/v1/models": Access.KEY,
    "/v1/models/{name}": Access.KEY,
    "/v1/models/{name}/activate": Access.KEY,
    "/v1/models/{name}/rollback": Access.KEY,
    "/v1/models/{name}/shadow": Access.KEY,
    "/v1/models/{name}/{version}": Access.KEY,
    "/v1/models/{name}/{version}/report": Access.KEY,
    "/v1/assignments": Access.KEY,
    "/v1/alerts": Access.KEY,
    "/v1/incidents": Access.KEY,
    "/v1/incidents/{incident:path}": Access.KEY,
    "/v1/incidents/{incident:path}/file": Access.KEY,
    "/v1/incidents/{incident:path}/note": Access.KEY,
    "/v1/incidents/{incident:path}/rows": Access.KEY,
    "/v1/policies": Access.KEY,
    "/v1/policies/effective": Access.KEY,
    "/v1/policies/entities/{entity:path}": Access.KEY,
    "/v1/promise": Access.KEY,
} | dict.fromkeys(page.paths(), Access.OPEN)


class OriginRefused(GaugewatchError):
    """A page of another origin tried to open the websocket, or to change something."""

    status = 403
    code = "origin_refused"


class HostRefused(GaugewatchError):
    """Without keys only names of the loopback are answered to."""

    status = 403
    code = "host_refused"


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
        if not self._digests and not _is_at_home(scope):
            return HostRefused("expected a Host of the loopback, because there are no keys")
        is_reading = scope["type"] == "http" and scope["method"] in READING
        if not is_reading and not self._is_known_origin(Headers(scope=scope)):
            return OriginRefused("expected an origin of ours or one that is allowed")
        if not self._digests or ACCESS.get(scope["path"]) is Access.OPEN:
            return None
        if not self._is_key(_offered_key(scope, Headers(scope=scope))):
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


def _is_at_home(scope: Scope) -> bool:
    hosts = [value for name, value in scope["headers"] if name == b"host"]
    return len(hosts) == 1 and _is_name_of_home(hosts[0])


@lru_cache(maxsize=64)
def _is_name_of_home(host: bytes) -> bool:
    found = HOST.fullmatch(host.decode("latin-1").lower())
    return found is not None and is_loopback(found["v6"] or found["name"])


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
