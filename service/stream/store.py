"""The store: what Redis keeps of every entity, and the one atomic commit that changes it.

Owns committing, loading, expiry and the check at start. Knows bytes only: what a row or
a snapshot means is the business of the fold.
"""

import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisGone, ResponseError, TimeoutError as RedisSlow
from redis.retry import Retry

from service.errors import StoreMisconfigured, StoreUnavailable
from service.stream.commit import Commit, Layout, Outcome, packed
from service.stream.keys import CONFIGURATION_KEY, EPOCH_KEY, SHARDS_KEY, entity_keys

Answer = TypeVar("Answer")

MAX_ENTITIES_PER_CALL: Final = 512  # a script holds up everybody else while it runs
_SAFE_FSYNC: Final = {"always": ("always",), "everysec": ("always", "everysec")}
_SCRIPTS: Final = Path(__file__).parent


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
    incidents_kept: int = 2_000  # per shard
    incident_ttl_seconds: int = 90 * 86_400
    connect_timeout_seconds: float = 0.25
    command_timeout_seconds: float = 0.25
    budget_seconds: float = 1.0


class Store:
    """Commits and loads entities; for one thread at a time."""

    def __init__(self, url: str, options: StoreOptions | None = None, *, epoch: int = 1) -> None:
        self._url = url
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
        self._configure_script = self._client.register_script(
            (_SCRIPTS / "configure.lua").read_bytes()
        )
        self._load_script = self._client.register_script((_SCRIPTS / "load.lua").read_bytes())

    def twin(self) -> "Store":
        """The same store over a connection of its own, for another thread."""
        return Store(self._url, self.options, epoch=self.commit_epoch)

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

    def configuration(self) -> tuple[int, bytes | None]:
        """Epoch and document of the configuration in force, of one moment."""
        keys = (EPOCH_KEY, CONFIGURATION_KEY)
        epoch, document = self._call(lambda: self._client.mget(keys))
        return int(epoch or 1), document

    def configure(self, epoch: int, document: bytes) -> int | None:
        """Replace the configuration read under `epoch`; its new epoch, None if it moved on."""
        keys, args = (EPOCH_KEY, CONFIGURATION_KEY), (epoch, document)
        replaced = int(self._call(lambda: self._configure_script(keys=keys, args=args)))
        return replaced or None

    def commit(self, commits: Sequence[Commit]) -> list[Outcome]:
        """All in one call, each on its own: a stale entity does not stop the others."""
        if not commits:
            return []
        _refuse_too_many([commit.entity for commit in commits])
        options = self.options
        limits = (options.ttl_seconds, options.alerts_kept, options.incidents_kept)
        numbers = (self.commit_epoch, *limits, options.incident_ttl_seconds)
        keys, args = packed(commits, options.shards, options=numbers)
        codes = self._call(lambda: self._commit_script(keys=keys, args=args))
        return [Outcome(code) for code in codes]

    def load(self, entities: Sequence[str]) -> list[Stored | None]:
        """What is kept of each, or None."""
        return [found and found[0] for found in self._read(entities, last_rows=0)]

    def recent(self, entities: Sequence[str], count: int) -> list[tuple[Stored, bytes] | None]:
        """What is kept, and the last rows, oldest first: as many as asked for and kept."""
        return self._read(entities, last_rows=count)

    def delete(self, entities: Iterable[str]) -> None:
        """Forget entities; their alerts stay in the log."""
        keys = [key for entity in entities for key in entity_keys(entity, self.options.shards)]
        if keys:
            self._call(lambda: self._client.unlink(*keys))

    def ask(self, action: Callable[[Redis], Answer]) -> Answer:
        """What Redis answers to something else, within the budget."""
        answer: Answer = self._call(lambda: action(self._client))
        return answer

    def _read(
        self, entities: Sequence[str], *, last_rows: int
    ) -> list[tuple[Stored, bytes] | None]:
        if not entities:
            return []
        _refuse_too_many(entities)
        keys = [key for entity in entities for key in entity_keys(entity, self.options.shards)]
        replies = self._call(lambda: self._load_script(keys=keys, args=[last_rows]))
        return [reply and _stored(reply) for reply in replies]

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
