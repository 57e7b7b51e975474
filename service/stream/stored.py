"""What the store keeps of an entity, as load.lua answers it."""

from dataclasses import dataclass
from typing import Any

from service.stream.commit import Layout


@dataclass(frozen=True)
class Stored:
    """What is kept of an entity: a snapshot and the rows after it, oldest first."""

    token: bytes
    seq: int
    epoch: int
    layout: Layout
    snapshot_seq: int
    snapshot: bytes
    rows: bytes  # snapshot_seq + 1 .. seq
    waiting: bytes = b""  # points that wait for earlier ones


def stored(reply: list[Any]) -> tuple[Stored, bytes]:
    """The reply for one entity, and the last rows of it that were asked for."""
    token, seq, epoch, text, snapshot_seq, snapshot, rows, last, waiting = reply
    numbers = int(seq), int(epoch), Layout.parsed(text.decode()), int(snapshot_seq)
    return Stored(token, *numbers, snapshot, rows, waiting), last
