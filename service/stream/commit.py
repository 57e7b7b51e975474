"""A commit: one atomic change of an entity."""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from msgspec import Struct

from service.stream.keys import checksum

TOKEN_BYTES: Final = 16
MAX_RING_BYTES: Final = 64 * 2**20
MAX_LAYOUT_BYTES: Final = 96  # of its text, as the header of commit.lua has room
POINTS_PER_SNAPSHOT: Final = 32


def snapshot_due(entity: str, seq_before: int, seq_after: int) -> bool:
    """At creation, and every 32 points, staggered so that entities in step do not all write."""
    offset = checksum(entity) >> 16  # the low bits already choose the shard
    before = (seq_before + offset) // POINTS_PER_SNAPSHOT
    return seq_before == 0 or (seq_after + offset) // POINTS_PER_SNAPSHOT > before


@dataclass(frozen=True)
class Layout:
    """Form of an entity's rows, and the bundle its snapshot is bound to."""

    row_bytes: int
    capacity: int  # rows in the ring
    digest: str

    def __post_init__(self) -> None:
        if (
            min(self.row_bytes, self.capacity) < 1
            or self.row_bytes * self.capacity > MAX_RING_BYTES
        ):
            raise ValueError(f"expected a ring of 1 to {MAX_RING_BYTES} bytes, came {self}")
        if len(self.text.encode()) > MAX_LAYOUT_BYTES:
            raise ValueError(f"expected a digest that fits a header, came {self}")

    @property
    def text(self) -> str:
        """As the header keeps it."""
        return f"{self.row_bytes}:{self.capacity}:{self.digest}"

    @staticmethod
    def parsed(text: str) -> "Layout":
        """The inverse of `text`."""
        row_bytes, capacity, digest = text.split(":", 2)
        return Layout(int(row_bytes), int(capacity), digest)


@dataclass(frozen=True)
class IncidentPart:
    """What a commit adds to the record of an incident."""

    incident: str
    opened_ms: int
    alert: bytes  # the newest about it, b"": none in this commit
    state: bytes  # of the entity before these rows, b"": it was open before
    rows: bytes  # oldest first, up to the last point of the incident
    worst: bytes = b""  # the newest before its end, told at a new peak, b"": none in this commit


class Commit(Struct, frozen=True):
    """One change of one entity: new rows, oldest first, with what they cause."""

    entity: str
    expected_token: bytes  # b"": this entity was never committed
    new_token: bytes  # 16 random bytes, drawn once per change: a repeat carries the same
    seq: int  # of the last row after this commit; the first row ever is 1, before it 0
    rows: bytes  # none: only what is beside them changes
    row_count: int
    layout: Layout
    snapshot: bytes | None  # bound to `seq`
    alerts: tuple[bytes, ...] = ()
    incidents: tuple[IncidentPart, ...] = ()
    due_ms: int = 0  # when something happens without a point, by our clock; 0: nothing does
    waiting: bytes | None = None  # points that wait for earlier ones; None: as they are; b"": none
    model: str = ""  # bundle name/version, for the tally
    scored: int = 0  # points it scored in these rows
    day: int = 0  # of the last of them, counted from 1970 in UTC

    @property
    def is_rare(self) -> bool:
        """Whether more comes with it than rows."""
        return bool(
            self.snapshot is not None or self.waiting is not None or self.alerts or self.incidents
        )

    def __post_init__(self) -> None:
        if len(self.new_token) != TOKEN_BYTES or self.new_token == self.expected_token:
            raise ValueError(
                f"expected a new token of {TOKEN_BYTES} bytes, came {self.new_token!r}"
            )
        if len(self.rows) != self.row_count * self.layout.row_bytes:
            raise ValueError(
                f"expected {self.row_count} rows of {self.layout.row_bytes} bytes, "
                f"came {len(self.rows)} bytes"
            )
        if self.seq < self.row_count:
            raise ValueError(f"expected seq >= {self.row_count}, came {self.seq}")
        if self.scored and not (self.model and 0 < self.scored <= self.row_count):
            raise ValueError(
                f"expected a model and 0 to {self.row_count} scored points, "
                f"came {self.scored} of {self.model!r}"
            )
        if self.snapshot is None and not self.expected_token:
            raise ValueError(f"the first commit of {self.entity!r} needs a snapshot")


class Outcome(Enum):
    """What became of a commit; the values are the codes of commit.lua."""

    OK = 0
    STALE = 1  # somebody else committed: load, replay, try again
    OUTDATED = 2  # a newer configuration is in force: read it first
    FULL = 3  # a new entity, and as many are kept as may be; nothing of it was written
