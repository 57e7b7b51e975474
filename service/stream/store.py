"""The store: what Redis keeps of every entity, and the one atomic commit that changes it.

Owns committing, loading, expiry and the check at start. Knows bytes only: what a row or
a snapshot means is the business of the fold.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import ceil
from typing import Any, Final, TypeVar

from redis import Redis

from service.errors import StoreMisconfigured
from service.stream.call import packed
from service.stream.commit import Commit, Outcome
from service.stream.connection import connect
from service.stream.copies import Copies, copied_key
from service.stream.keys import CONFIGURATION_KEY, EPOCH_KEY, SHARDS_KEY, entity_keys, shard_of
from service.stream.patience import Patience
from service.stream.roster import EntityPage, entity_count, entity_page, forget
from service.stream.safety import Durability, refuse_unsafe
from service.stream.script import Script
from service.stream.shards import Shards
from service.stream.stored import Stored, stored
from service.stream.tallies import scored_on
from service.stream.topology import is_cluster

Answer = TypeVar("Answer")

MAX_ENTITIES_PER_CALL: Final = 512  # a script holds up everybody else while it runs
_COMMIT, _CONFIGURE, _LOAD = Script("commit.lua"), Script("configure.lua"), Script("load.lua")


@dataclass(frozen=True)
class StoreOptions:
    """How the store talks to Redis and how long it keeps things."""

    shards: int = 8
    durability: Durability = "always"
    replicas: int = 1  # that must have what is answered, if it is `replicated`
    ttl_seconds: int = 7 * 86_400
    alerts_kept: int = 10_000  # per shard, at least
    incidents_kept: int = 2_000  # per shard
    incident_ttl_seconds: int = 90 * 86_400
    entities_kept: int = 1_000_000  # each shard keeps its part of them, rounded up
    connect_timeout_seconds: float = 0.25
    command_timeout_seconds: float = 0.25
    budget_seconds: float = 1.0

    @property
    def patience(self) -> Patience:
        """How long Redis may take."""
        commands = self.connect_timeout_seconds, self.command_timeout_seconds
        return Patience(*commands, self.budget_seconds)

    @property
    def limits(self) -> tuple[int, ...]:
        """As commit.lua takes them; what is kept is per shard."""
        kept = (
            self.incidents_kept,
            self.incident_ttl_seconds,
            ceil(self.entities_kept / self.shards),
        )
        return self.ttl_seconds, self.alerts_kept, *kept


class Store:
    """Commits and loads entities; for one thread at a time."""

    def __init__(self, url: str, options: StoreOptions | None = None, *, epoch: int = 1) -> None:
        self._url = url
        self.options = options or StoreOptions()
        self.commit_epoch = epoch  # the configuration this process works by; commits carry it
        self._connection = connect(url, self.options.patience)
        self.shards = Shards(self._connection, self.options.shards)
        self._copies = Copies(self.options.replicas)

    def twin(self) -> "Store":
        """The same store over a connection of its own, for another thread."""
        return Store(self._url, self.options, epoch=self.commit_epoch)

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.close()

    def check(self) -> None:
        """Refuse a Redis that would lose what we promise; claim one that is new."""
        safe = partial(
            refuse_unsafe, durability=self.options.durability, is_cluster=is_cluster(self._url)
        )
        self._connection.ask_nodes(safe)
        self.ask(EPOCH_KEY, lambda redis: redis.set(EPOCH_KEY, 1, nx=True))
        self.ask(SHARDS_KEY, lambda redis: redis.set(SHARDS_KEY, self.options.shards, nx=True))
        shards = self._number(SHARDS_KEY)
        if shards != self.options.shards:
            raise StoreMisconfigured(
                f"expected {self.options.shards} shards, came {shards} stored in Redis; "
                f"fix: set shards to {shards}, or start with an empty database"
            )

    def epoch(self) -> int:
        """Epoch of the configuration in force, which may be newer than `commit_epoch`."""
        return self._number(EPOCH_KEY) or 1

    def configuration(self) -> tuple[int, bytes | None]:
        """Epoch and document of the configuration in force, of one moment."""
        found: Any = self.ask(EPOCH_KEY, lambda redis: redis.mget(EPOCH_KEY, CONFIGURATION_KEY))
        epoch, document = found
        return int(epoch or 1), document

    def configure(self, epoch: int, document: bytes) -> int | None:
        """Replace the configuration read under `epoch`; its new epoch, None if it moved on."""
        keys, args = (EPOCH_KEY, CONFIGURATION_KEY), (epoch, document)
        return int(self.ask(EPOCH_KEY, partial(_CONFIGURE.run, keys=keys, args=args))) or None

    def commit(self, commits: Sequence[Commit]) -> list[Outcome]:
        """Each on its own: a stale entity does not stop the others."""
        _refuse_too_many([commit.entity for commit in commits])
        return self.shards.ask_each(commits, lambda one: one.entity, self._committed)

    def confirm(self, entities: Sequence[str] | None = None) -> None:
        """What is kept of them, or of all, is safe as the durability says, or StoreUnavailable."""
        if self.options.durability == "replicated":
            count = self.options.shards
            named = {shard_of(entity, count) for entity in entities or ()}
            shards = range(count) if entities is None else sorted(named)
            self._connection.ask_each(shards, copied_key, self._copies.of_shards)

    def load(self, entities: Sequence[str]) -> list[Stored | None]:
        """What is kept of each, or None."""
        return [found and found[0] for found in self._read(entities, last_rows=0)]

    def recent(self, entities: Sequence[str], count: int) -> list[tuple[Stored, bytes] | None]:
        """What is kept, and the last rows, oldest first: as many as asked for and kept."""
        return self._read(entities, last_rows=count)

    def delete(self, entities: Sequence[str]) -> None:
        """Forget entities; their alerts stay in the log."""
        self.shards.ask_each(entities, str, partial(forget, shards=self.options.shards))

    def entities(self, after: str | None, limit: int) -> EntityPage:
        """Names of those that are kept, behind the `next` of the page before. Raises BadCursor."""
        return entity_page(self._connection, self.options.shards, after=after, limit=limit)

    def entity_count(self) -> int:
        """How many are kept; some of them may have expired since. Asks every shard."""
        return sum(self.shards.ask_all(entity_count))

    def scored(self, days: range) -> dict[str, int]:
        """Points each model scored on those days, counted from 1970 in UTC."""
        counts = Counter[str]()
        for day in days:
            for tally in self.shards.ask_all(partial(scored_on, day=day)):
                counts += tally
        return dict(counts)

    def ask(self, key: str | bytes, action: Callable[[Redis], Answer]) -> Answer:
        """What Redis answers to something else, about keys with the hash tag of this one."""
        return self._connection.ask(key, action)

    def _number(self, key: str) -> int:
        found: Any = self.ask(key, lambda redis: redis.get(key))
        return int(found or 0)

    def _committed(self, redis: Redis, commits: Sequence[Commit]) -> list[Outcome]:
        numbers = (self.commit_epoch, *self.options.limits)
        keys, args = packed(commits, self.options.shards, options=numbers)
        return [Outcome(code) for code in _COMMIT.run(redis, keys, args)]

    def _read(
        self, entities: Sequence[str], *, last_rows: int
    ) -> list[tuple[Stored, bytes] | None]:
        _refuse_too_many(entities)
        shards = self.options.shards

        def read(redis: Redis, some: Sequence[str]) -> list[tuple[Stored, bytes] | None]:
            keys = [key for entity in some for key in entity_keys(entity, shards)]
            return [reply and stored(reply) for reply in _LOAD.run(redis, keys, [last_rows])]

        return self.shards.ask_each(entities, str, read)


def _refuse_too_many(entities: Sequence[str]) -> None:
    if len(entities) > MAX_ENTITIES_PER_CALL or len(set(entities)) < len(entities):
        raise ValueError(
            f"expected at most {MAX_ENTITIES_PER_CALL} distinct entities, "
            f"came {len(entities)}, {len(set(entities))} of them distinct"
        )
