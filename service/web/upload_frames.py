"""What parent and child of an upload say to each other: frames over the child's pipes."""

import struct
from collections.abc import Mapping, Sequence
from typing import IO, Any, Final

import msgspec

from service.web.detect_state import SealedPast
from service.web.detect_wish import Wish

HEAD: Final = struct.Struct("<cI")  # kind, bytes of the content
MAX_FRAME_BYTES: Final = 2**28
OPENED, REFUSED, SCORED, PIECE, END = b"O", b"R", b"S", b"P", b"E"


class Job(msgspec.Struct, frozen=True):
    """All that a child is told."""

    wish: Wish
    body: bytes
    folder: str  # where it may write
    budget: float | None  # None: the bundle's own
    sealed: SealedPast | None
    max_points: int
    max_bundle_bytes: int


class Refusal(msgspec.Struct, frozen=True):
    """Why there is no answer; an error of ours by its code."""

    code: str
    detail: str
    errors: Sequence[Mapping[str, Any]] = ()


def write_frame(pipe: IO[bytes], kind: bytes, content: bytes = b"") -> None:
    """One frame, at once."""
    pipe.write(HEAD.pack(kind, len(content)) + content)
    pipe.flush()
