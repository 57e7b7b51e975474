"""The cut-off: what a request gets that is not done when the time to stop is over."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import Overloaded
from service.web.problems import problem


class CutOff:
    """Middleware that answers 503 where the server would answer 500 and log a failure."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        has_begun = False

        async def noting(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except asyncio.CancelledError:  # only the end of the server cancels a request
            if has_begun:
                raise
            stopping = Overloaded("the service is stopping; send the request again")
            await problem(stopping)(scope, receive, send)
