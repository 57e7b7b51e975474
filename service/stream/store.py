"""The store: what Redis keeps of every entity, and the one atomic commit that changes it.

Owns the keys, the commit, loading, expiry and the check at start. Knows bytes only: what a row or
a snapshot means is the business of the fold.
"""

import random
import time
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import msgspec
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisGone, ResponseError, TimeoutError as RedisSlow
from redis.retry import Retry

from service.errors import StoreMisconfigured, StoreUnavailable

Answer = TypeVar("Answer")

TOKEN_BYTES: Final = 16
MAX_ENTITIES_PER_CALL: Final = 512  # a script holds up everybody else while it runs
MAX_RING_BYTES: Final = 64 * 2**20
POINTS_PER_SNAPSHOT: Final = 32
SHARDS_KEY: Final = "gw:shards"
EPOCH_KEY: Final = "gw:epoch"
_SAFE_FSYNC: Final = {"always": ("always",), "everysec": ("always", "everysec")}
_SCRIPTS: Final = Path(__file__).parent


def shard_of(entity: str, shards: int) -> int:
    """Stable over processes and releases, unlike Python's own hash."""
    return zlib.crc32(entity.encode()) % shards


def entity_keys(entity: str, shards: int) -> tuple[bytes, bytes, bytes]:
    """Header, ring and snapshot; the shard is the hash tag."""
    name = entity.encode()
    tag = b"gw:{%d}:" % (zlib.crc32(name) % shards)
    return tag + b"h:" + name, tag + b"r:" + name, tag + b"s:" + name


def alert_stream_key(shard: int) -> bytes:
    """Alerts of a shard, with ids 1-0, 2-0, ... so that what trimming took can be counted."""
    return b"gw:{%d}:alerts" % shard


def alert_count_key(shard: int) -> bytes:
    """Number of the last alert of a shard."""
    return b"gw:{%d}:alert_count" % shard


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


@dataclass(frozen=True)
class StoreOptions:
    """How the store talks to Redis and how long it keeps things."""

    shards: int = 8
    durability: Literal["always", "everysec"] = "always"
    ttl_seconds: int = 7 * 86_400
    alerts_kept: int = 10_000  # per shard, at least
    connect_timeout_seconds: float = 0.25
    command_timeout_seconds: float = 0.25
    budget_seconds: float = 1.0


class Store:
    """Commits and loads entities; for one thread at a time."""

    def __init__(self, url: str, options: StoreOptions | None = None, *, epoch: int = 1) -> None:
        self.options = options or StoreOptions()
        self.commit_epoch = epoch  # the configuration this process works by; commits carry it
        self._client = Redis.from_url(
            url,
            protocol=2,
            driver_info=None,  # saves a round trip at connection
            retry=Retry(NoBackoff(), 0),  # redis-py would repeat writes by itself
            socket_timeout=self.options.command_timeout_seconds,
            socket_connect_timeout=self.options.connect_timeout_seconds,
        )
        self._commit_script = self._client.register_script((_SCRIPTS / "commit.lua").read_bytes())
        self._load_script = self._client.register_script((_SCRIPTS / "load.lua").read_bytes())

    def close(self) -> None:
        """Let go of the connection."""
        self._client.close()

    def check(self) -> None:
        """Refuse a Redis that would lose what we promise; claim one that is new."""
        names = ("maxmemory-policy", "appendonly", "appendfsync")
        config = self._call(lambda: self._client.config_get(*names))
        durability = self.options.durability
        for name, good in zip(
            names, (("noeviction",), ("yes",), _SAFE_FSYNC[durability]), strict=True
        ):
            if config.get(name) not in good:
                raise StoreMisconfigured(
                    f"durability {durability!r} expects Redis with {name} {' or '.join(good)}, "
                    f"came {config.get(name)}; fix: CONFIG SET {name} {good[0]}, or in redis.conf"
                )
        self._call(lambda: self._client.set(EPOCH_KEY, 1, nx=True))
        self._call(lambda: self._client.set(SHARDS_KEY, self.options.shards, nx=True))
        shards = int(self._call(lambda: self._client.get(SHARDS_KEY)))
        if shards != self.options.shards:
            raise StoreMisconfigured(
                f"expected {self.options.shards} shards, came {shards} stored in Redis; "
                f"fix: set shards to {shards}, or start with an empty database"
            )

    def epoch(self) -> int:
        """Epoch of the configuration in force, which may be newer than `commit_epoch`."""
        return int(self._call(lambda: self._client.get(EPOCH_KEY)) or 1)

    def commit(self, commits: Sequence[Commit]) -> list[Outcome]:
        """All in one call, each on its own: a stale entity does not stop the others."""
        if not commits:
            return []
        keys, args = self._packed(commits)
        codes = self._call(lambda: self._commit_script(keys=keys, args=args))
        return [Outcome(code) for code in codes]

    def load(self, entities: Sequence[str]) -> list[Stored | None]:
        """What is kept of each, or None."""
        return [found and found[0] for found in self._read(entities, last_rows=0)]

    def recent(self, entity: str, count: int) -> tuple[Stored, bytes] | None:
        """What is kept, and the last rows, oldest first: as many as asked for and kept."""
        return self._read([entity], last_rows=count)[0]

    def delete(self, entities: Iterable[str]) -> None:
        """Forget entities; their alerts stay in the log."""
        keys = [key for entity in entities for key in entity_keys(entity, self.options.shards)]
        if keys:
            self._call(lambda: self._client.unlink(*keys))

    def _read(
        self, entities: Sequence[str], *, last_rows: int
    ) -> list[tuple[Stored, bytes] | None]:
        if not entities:
            return []
        _refuse_too_many(entities)
        keys = [key for entity in entities for key in entity_keys(entity, self.options.shards)]
        replies = self._call(lambda: self._load_script(keys=keys, args=[last_rows]))
        return [reply and _stored(reply) for reply in replies]

    def _packed(self, commits: Sequence[Commit]) -> tuple[list[bytes], list[bytes]]:
        """Keys and arguments of commit.lua; indices count from 1, as Lua does."""
        _refuse_too_many([commit.entity for commit in commits])
        shards = self.options.shards
        keys = [key for commit in commits for key in entity_keys(commit.entity, shards)]
        alert_keys: dict[int, int] = {}
        layouts: dict[Layout, int] = {}
        plan: list[tuple[object, ...]] = []
        blobs: list[bytes] = []
        for commit in commits:
            shard = shard_of(commit.entity, shards)
            if commit.alerts and shard not in alert_keys:
                alert_keys[shard] = len(keys) + 1
                keys += (alert_stream_key(shard), alert_count_key(shard))
            layout = layouts.setdefault(commit.layout, len(layouts) + 1)
            lengths = [len(alert) for alert in commit.alerts]
            has_snapshot = commit.snapshot is not None
            at = alert_keys.get(shard, 0)
            plan.append((commit.seq, commit.row_count, layout, has_snapshot, at, lengths))
            blobs += (commit.expected_token + commit.new_token, commit.rows)
            blobs += (commit.snapshot or b"", b"".join(commit.alerts))
        options = (self.commit_epoch, self.options.ttl_seconds, self.options.alerts_kept)
        forms = [(layout.row_bytes, layout.capacity, layout.text) for layout in layouts]
        return keys, [msgspec.msgpack.encode((*options, forms, plan)), *blobs]

    def _call(self, action: Callable[[], Any]) -> Any:
        """Run one command within the budget; an unknown outcome is sent again, token and all."""
        options = self.options
        attempt_seconds = options.connect_timeout_seconds + options.command_timeout_seconds
        last_start = time.monotonic() + options.budget_seconds - attempt_seconds
        while True:
            try:
                return action()
            except (RedisGone, RedisSlow) as error:
                pause_seconds = random.uniform(0.01, 0.05)
                if time.monotonic() + pause_seconds > last_start:
                    raise StoreUnavailable(f"Redis did not answer in time: {error}") from error
                time.sleep(pause_seconds)
            except ResponseError as error:
                if str(error).startswith("GWINVALID"):
                    raise ValueError(f"a commit that cannot be: {error}") from error
                raise StoreUnavailable(f"Redis refused: {error}") from error


def _refuse_too_many(entities: Sequence[str]) -> None:
    if len(entities) > MAX_ENTITIES_PER_CALL or len(set(entities)) < len(entities):
        raise ValueError(
            f"expected at most {MAX_ENTITIES_PER_CALL} distinct entities, "
            f"came {len(entities)}, {len(set(entities))} of them distinct"
        )


def _stored(reply: list[Any]) -> tuple[Stored, bytes]:
    token, seq, epoch, text, snapshot_seq, snapshot, rows, last = reply
    layout = Layout.parsed(text.decode())
    return Stored(token, int(seq), int(epoch), layout, int(snapshot_seq), snapshot, rows), last
