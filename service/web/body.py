"""The body of a request: read with every limit, before anything looks at its content."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NoReturn

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope

from service.errors import BadBody, BodyTooLarge, Overloaded, UnsupportedEncoding
from service.settings import Settings

# A body over the limit is read on for a while, kept nowhere: a client that is still sending when
# the connection closes would lose our answer.
MAX_DISCARDED_BYTES: Final = 64 * 2**20
IS_WHOLE: Final = "gaugewatch.is_whole"  # in a scope: the server has all of the body already


class Bodies:
    """All bodies that are being received; their sum is bounded too."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._buffered_bytes = 0

    async def read(self, scope: Scope, receive: Receive) -> bytes:
        """The whole body. Raises BodyTooLarge, UnsupportedEncoding, Overloaded, or a 408."""
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        encodings = [value for name, value in headers if name == b"content-encoding"]
        if any(encoding.lower() != b"identity" for encoding in encodings):
            raise UnsupportedEncoding("expected a body without content encoding, came an encoded")
        if scope.get(IS_WHOLE):  # as most are: nothing is waited for, and a timer costs a tenth
            return await self._read(receive, _announced_bytes(headers))
        try:
            async with asyncio.timeout(self._settings.receive_seconds):
                return await self._read(receive, _announced_bytes(headers))
        except TimeoutError:
            seconds = self._settings.receive_seconds
            detail = f"expected the body within {seconds:g} seconds"
            raise HTTPException(408, detail, {"Connection": "close"}) from None

    async def _read(self, receive: Receive, announced_bytes: int) -> bytes:
        if announced_bytes > self._settings.max_body_bytes:
            await self._refuse(receive, announced_bytes)
        with self._counted() as body:
            has_more = True
            while has_more:
                chunk, has_more = await _next_chunk(receive)
                if len(body) + len(chunk) > self._settings.max_body_bytes:
                    await self._refuse(receive, 0 if has_more else -1)
                self._buffered_bytes += len(chunk)
                body += chunk
                if self._buffered_bytes > self._settings.max_buffered_bytes:
                    raise Overloaded("too many bodies are being received; nothing was kept")
            return bytes(body)

    @contextmanager
    def _counted(self) -> Iterator[bytearray]:
        body = bytearray()
        try:
            yield body
        finally:
            self._buffered_bytes -= len(body)

    async def _refuse(self, receive: Receive, left_bytes: int) -> NoReturn:
        """Read on without keeping anything, if that is worth it, and refuse."""
        discarded = 0
        has_more = 0 <= left_bytes <= MAX_DISCARDED_BYTES
        while has_more and discarded <= MAX_DISCARDED_BYTES:
            chunk, has_more = await _next_chunk(receive)
            discarded += len(chunk)
        raise BodyTooLarge(f"expected a body of at most {self._settings.max_body_bytes} bytes")


async def _next_chunk(receive: Receive) -> tuple[bytes, bool]:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    return message.get("body", b""), message.get("more_body", False)


def _announced_bytes(headers: list[tuple[bytes, bytes]]) -> int:
    lengths = [value for name, value in headers if name == b"content-length"]
    announced = lengths[0] if lengths else b"0"
    if not (announced.isdigit() and len(announced) < 19):
        raise BadBody("expected a Content-Length of digits")
    return int(announced)
