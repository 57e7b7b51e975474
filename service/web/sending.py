"""Sending: the head of an answer goes out together with its body.

The server we stand on writes them apart, which costs a system call and, of small answers, a packet.
"""

from asyncio import Transport

CONTINUE = b"HTTP/1.1 100 "  # what is said before an answer, and not held back


class Gathered:
    """What one request sees of its connection; for answers that have a body, even an empty one."""

    __slots__ = ("_head", "_transport")

    def __init__(self, transport: Transport) -> None:
        self._transport, self._head = transport, b""

    def write(self, content: bytes) -> None:
        """The first write of an answer is its head, which waits for the second."""
        if self._head:
            head, self._head = self._head, b""
            self._transport.writelines((head, content))
        elif content.startswith(b"HTTP/") and not content.startswith(CONTINUE):
            self._head = content
        else:
            self._transport.write(content)

    def close(self) -> None:
        """Nothing follows; what was held back goes out."""
        if self._head:
            self._transport.write(self._head)
        self._transport.close()

    def is_closing(self) -> bool:
        """Whether nobody listens any more."""
        return self._transport.is_closing()
