"""A commit: one atomic change of an entity, and its form on the wire to commit.lua."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

import msgspec

from service.stream.keys import (
    alert_count_key,
    alert_stream_key,
    entity_keys,
    incident_index_key,
    incident_keys,
    shard_of,
    silence_key,
)

TOKEN_BYTES: Final = 16
MAX_RING_BYTES: Final = 64 * 2**20
POINTS_PER_SNAPSHOT: Final = 32


def snapshot_due(entity: str, seq_before: int, seq_after: int) -> bool:
    """At creation, and every 32 points, staggered so that entities in step do not all write."""
    offset = zlib.crc32(entity.encode()) >> 16  # the low bits already choose the shard
    before, after = ((seq + offset) // POINTS_PER_SNAPSHOT for seq in (seq_before, seq_after))
    return seq_before == 0 or after > before


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


@dataclass(frozen=True)
class Commit:
    """One change of one entity: new rows, oldest first, with what they cause."""

    entity: str
    expected_token: bytes  # b"": this entity was never committed
    new_token: bytes  # 16 random bytes, drawn once per change: a repeat carries the same
    seq: int  # of the last row after this commit; the first row ever is 1
    rows: bytes
    row_count: int
    layout: Layout
    snapshot: bytes | None  # bound to `seq`
    alerts: tuple[bytes, ...] = ()
    incidents: tuple[IncidentPart, ...] = ()
    silent_at_ms: int = 0  # by our clock, if no point comes; 0: it is not waited for

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
        if self.seq < max(1, self.row_count):
            raise ValueError(f"expected seq >= {max(1, self.row_count)}, came {self.seq}")
        if self.snapshot is None and not self.expected_token:
            raise ValueError(f"the first commit of {self.entity!r} needs a snapshot")


class Outcome(Enum):
    """What became of a commit; the values are the codes of commit.lua."""

    OK = 0
    STALE = 1  # somebody else committed: load, replay, try again
    OUTDATED = 2  # a newer configuration is in force: read it first


def packed(
    commits: Sequence[Commit], shards: int, *, options: tuple[int, ...]
) -> tuple[list[bytes], list[bytes]]:
    """Keys and arguments of commit.lua; indices count from 1, as Lua does.

    `options` are the epoch, the seconds to live, the alerts kept, the incidents kept and their
    seconds to live.
    """
    keys = [key for commit in commits for key in entity_keys(commit.entity, shards)]
    alert_keys: dict[int, int] = {}
    silence_keys: dict[int, int] = {}
    layouts: dict[Layout, int] = {}
    plan: list[tuple[object, ...]] = []
    blobs: list[bytes] = []
    for commit in commits:
        shard = shard_of(commit.entity, shards)
        if commit.alerts and shard not in alert_keys:
            alert_keys[shard] = len(keys) + 1
            keys += (alert_stream_key(shard), alert_count_key(shard))
        if shard not in silence_keys:
            silence_keys[shard] = len(keys) + 1
            keys.append(silence_key(shard))
        layout = layouts.setdefault(commit.layout, len(layouts) + 1)
        lengths = [len(alert) for alert in commit.alerts]
        has_snapshot = commit.snapshot is not None
        at = alert_keys.get(shard, 0)
        records = [_record(commit, part, shards, keys) for part in commit.incidents]
        wait = (silence_keys[shard], commit.silent_at_ms)
        row = (commit.seq, commit.row_count, layout, has_snapshot, at, lengths, records, wait)
        plan.append(row)
        blobs += (commit.expected_token + commit.new_token, commit.rows)
        blobs += (commit.snapshot or b"", b"".join(commit.alerts))
        blobs.append(b"".join(part.alert + part.state + part.rows for part in commit.incidents))
    forms = [(layout.row_bytes, layout.capacity, layout.text) for layout in layouts]
    return keys, [msgspec.msgpack.encode((*options, forms, plan)), *blobs]


def _record(
    commit: Commit, part: IncidentPart, shards: int, keys: list[bytes]
) -> tuple[object, ...]:
    """Where the keys of an incident are, its name, and how long its parts are."""
    at = len(keys) + 1
    keys += (
        *incident_keys(commit.entity, part.incident, shards),
        incident_index_key(shard_of(commit.entity, shards)),
    )
    lengths = (len(part.alert), len(part.state), len(part.rows))
    return at, part.incident, part.opened_ms, *lengths
