"""Timing of requests: middleware in front of everything, for the request histogram."""

import time
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.web import page
from service.web.auth import ACCESS

UNMATCHED: Final = "none"  # route of requests that no route took
NOBODY: Final = "none"  # status where the client went before the answer


class RequestTimes:
    """Middleware that times every request by route and status."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status = time.perf_counter(), NOBODY

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except Exception:
            status = "500"  # answered further out
            raise
        finally:
            services = getattr(scope["app"].state, "services", None)
            if services is not None:
                seconds = time.perf_counter() - start
                services.metrics.observe_request(_route(scope), status, seconds)


def _route(scope: Scope) -> str:
    """The route's path as it was declared: as few labels as there are routes."""
    path: str = scope["path"]
    if path.startswith(page.PREFIX):
        return page.PREFIX
    return path if path in ACCESS else getattr(scope.get("route"), "path", UNMATCHED)
