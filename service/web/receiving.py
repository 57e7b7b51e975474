"""Receiving: how long the head of a request may be, and how long a request may take to arrive.

The server we stand on bounds neither: a header of any length is kept, and a client that sends a
byte now and then holds its connection for ever.
"""

from asyncio import TimerHandle, Transport
from typing import Any, Final, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from service.settings import Settings
from service.web.body import IS_WHOLE
from service.web.sending import Gathered

MAX_HEAD_BYTES: Final = 32 * 2**10  # names and values of headers, and the target
MAX_HEADERS: Final = 100
_TEXTS: Final = {
    400: "400 Bad Request",
    408: "408 Request Timeout",
    431: "431 Request Header Fields Too Large",
}


class Receiving(HttpToolsProtocol):
    """One connection; refuses a head that is too long, cuts off a request that is too slow.

    A body that somebody reads is timed there (body.py), so it is answered in our words.
    """

    def __init__(self, *, settings: Settings, **given: Any) -> None:
        super().__init__(**given)
        self._head_seconds = settings.head_seconds
        self._all_seconds = settings.head_seconds + settings.receive_seconds
        self._timer: TimerHandle | None = None
        self._is_head, self._is_open = False, False  # what of a request is still arriving
        self._head_bytes, self._began_here = 0, False
        self._status = 400  # of what the parser refuses

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """The first request has to begin in time, too."""
        super().connection_made(transport)
        self._wait(self._head_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        self._wait(None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Most requests come whole, and never meet a timer."""
        self._began_here = False
        super().data_received(data)
        if self._is_open and self._timer is None:
            self._wait(self._head_seconds if self._is_head else self._all_seconds)
        if self._is_head and not self._began_here:
            self._head_bytes += len(data)
        if self._is_head and self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(431)

    def on_message_begin(self) -> None:
        """Its first byte."""
        super().on_message_begin()
        self._is_head, self._is_open = True, True
        self._head_bytes, self._began_here = 0, True

    def on_url(self, url: bytes) -> None:
        """A part of the target."""
        super().on_url(url)
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header, whole."""
        super().on_header(name, value)
        self._count(len(name) + len(value))

    def on_headers_complete(self) -> None:
        """The body, if any, has a time of its own."""
        self._is_head = False
        self._wait(None)
        super().on_headers_complete()
        cycle = cast("RequestResponseCycle | None", self.cycle)
        if self.scope["method"] == "POST" and cycle is not None:
            cycle.transport = cast("Transport", Gathered(self.transport))

    def on_message_complete(self) -> None:
        """All of it is here."""
        self._is_open = False
        self._wait(None)
        self.scope[IS_WHOLE] = True  # type: ignore[typeddict-unknown-key]
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        """From now on the socket has its own rules."""
        self._wait(None)
        super().handle_websocket_upgrade()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002
        """What cannot be parsed, or was refused while it was."""
        self._refuse(self._status)

    def _count(self, count: int) -> None:
        self._head_bytes += count
        if self._head_bytes > MAX_HEAD_BYTES or len(self.headers) > MAX_HEADERS:
            self._status = 431
            raise ValueError("the head is too long")  # ends the parser, which asks for an answer

    def _wait(self, seconds: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if seconds is None else self.loop.call_later(seconds, self._is_late)

    def _is_late(self) -> None:
        self._timer = None
        cycle = cast("RequestResponseCycle | None", self.cycle)
        if cycle is None or cycle.response_complete:
            self._refuse(408)

    def _refuse(self, status: int) -> None:
        if self.transport.is_closing():
            return
        text = _TEXTS[status]
        lines = f"HTTP/1.1 {text}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        self.transport.write(lines.encode())
        self.transport.close()
