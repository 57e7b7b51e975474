"""Cursors: how far a reader is in the alert log, as a text that a client keeps."""

import base64
import zlib
from typing import Annotated, Final, Literal, NamedTuple

import msgspec

from service.errors import BadCursor

LOG_BYTES: Final = 8
MAX_CURSOR_CHARS: Final = 8_192
_Number = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
_Cursor = tuple[Literal[1], bytes, tuple[_Number, ...]]  # version, log, last number seen per shard
_DECODER: Final = msgspec.msgpack.Decoder(_Cursor)


class Position(NamedTuple):
    """How far a reader is in one alert log."""

    log: bytes
    numbers: tuple[int, ...]  # last number seen, per shard

    def moved(self, shard: int, number: int) -> "Position":
        """The same, after `number` of `shard`."""
        return Position(self.log, (*self.numbers[:shard], number, *self.numbers[shard + 1 :]))


def encode_cursor(position: Position) -> str:
    """Opaque and url-safe."""
    return sealed(msgspec.msgpack.encode((1, *position)))


def decode_cursor(cursor: str, *, shards: int) -> Position:
    """The inverse; raises BadCursor for anything that we did not give."""
    refusal = BadCursor("expected a cursor as it came with an alert, came another text")
    try:
        _, log, numbers = _DECODER.decode(unsealed(cursor))
    except (ValueError, msgspec.MsgspecError):
        raise refusal from None
    position = Position(log, numbers)
    if len(numbers) != shards or len(log) != LOG_BYTES or encode_cursor(position) != cursor:
        raise refusal
    return position


def sealed(payload: bytes) -> str:
    """As a text that a client keeps; the checksum tells ours from anybody else's."""
    both = zlib.crc32(payload).to_bytes(4) + payload
    return base64.urlsafe_b64encode(both).rstrip(b"=").decode()


def unsealed(cursor: str) -> bytes:
    """The inverse; raises ValueError for what was never sealed."""
    if len(cursor) > MAX_CURSOR_CHARS or not cursor.isascii():
        raise ValueError("expected a cursor of ours, came another text")
    payload = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))[4:]
    if sealed(payload) != cursor:
        raise ValueError("expected a cursor of ours, came another text")
    return payload
