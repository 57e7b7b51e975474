"""Incidents as they are kept: listed, looked at, acknowledged, labelled, taken home.

Written by the commit that opens, continues or resolves them; read and labelled here.
"""

import heapq
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import count, islice
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import UNSET, Struct, UnsetType
from redis import Redis

from service.errors import BadCursor, UnknownIncident
from service.stream.incident_messages import (
    Incident,
    IncidentPage,
    IncidentRecord,
    Label,
    Note,
    Wanted,
)
from service.stream.keys import incident_index_key, incident_keys, shard_of
from service.stream.messages import Alert
from service.stream.script import Script
from service.stream.store import Store

MAX_PAGE: Final = 500
MAX_LOOKED_AT: Final = 20_000  # records that one page may pass over
_STEP: Final = 200  # records read at once
_ANNOTATE: Final = Script("annotate.lua")
_TOLD: Final = ["entity", "alert", "worst", "note"]  # of a record, without rows and state
_ALERT: Final = msgspec.json.Decoder(Alert)


class Said(Struct, frozen=True, forbid_unknown_fields=True):
    """What a person says now of an incident: what is not named stays as it was."""

    is_acknowledged: bool | UnsetType = UNSET
    label: Label | UnsetType | None = UNSET
    by: str | UnsetType | None = UNSET
    text: str | UnsetType | None = UNSET


class Noted(NamedTuple):
    """An incident with what was said, and what had been said before."""

    incident: Incident
    before: Note


class _Place(NamedTuple):
    """Where an incident stands in the order of all: newest first, then by name."""

    opened_ms: int
    name: str

    @property
    def cursor(self) -> str:
        """For the caller, to go on behind it."""
        return f"{self.opened_ms}:{self.name}"


class Incidents:
    """Reads and labels; `store` is its own, for one thread at a time."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def page(self, wanted: Wanted, *, limit: int, after: str | None) -> IncidentPage:
        """At most `limit` incidents after a cursor. Raises BadCursor, StoreUnavailable."""
        found: list[Incident] = []
        last: _Place | None = None
        for looked_at, (place, incident) in enumerate(self._all(_parsed(after), wanted)):
            if len(found) == limit or looked_at == MAX_LOOKED_AT:
                return IncidentPage(found, None if last is None else last.cursor)
            last = place
            if incident is not None and wanted.has(incident):
                found.append(incident)
        return IncidentPage(found, None)

    def record(self, name: str) -> IncidentRecord:
        """All that is kept of one. Raises UnknownIncident, StoreUnavailable."""
        record_key, rows_key = incident_keys(_entity(name), name, self._store.options.shards)

        def read(redis: Redis) -> list[Any]:
            pipeline = redis.pipeline(transaction=True)
            pipeline.hmget(record_key, [*_TOLD, "layout", "state", "before"])
            pipeline.get(rows_key)
            return list(pipeline.execute())

        (*told, layout, state, before), rows = self._store.ask(record_key, read)
        incident = _incident(name, *told)
        if incident is None:
            raise UnknownIncident("no incident of this name is kept")
        return IncidentRecord(incident, layout.decode(), state, rows or b"", before or b"")

    def annotate(self, name: str, said: Said) -> Noted:
        """Keep what a person says. Raises UnknownIncident, StoreUnavailable."""
        key = incident_keys(_entity(name), name, self._store.options.shards)[0]
        args = [msgspec.json.encode(said)]
        before = self._store.ask(key, partial(_ANNOTATE.run, keys=[key], args=args))
        if before is None:
            raise UnknownIncident("no incident of this name is kept")
        return Noted(self.record(name).incident, msgspec.json.decode(before, type=Note))

    def _all(
        self, after: _Place | None, wanted: Wanted
    ) -> Iterator[tuple[_Place, Incident | None]]:
        """Incidents in order, None for those that expired; read as they are asked for."""
        shards = range(self._store.options.shards)
        if wanted.entity is not None:
            only = shard_of(wanted.entity, len(shards))
            shards = range(only, only + 1)
        places = heapq.merge(*(self._places(s, after, wanted) for s in shards), reverse=True)
        while chosen := list(islice(places, _STEP)):
            yield from zip(chosen, self._read(chosen), strict=True)

    def _places(self, shard: int, after: _Place | None, wanted: Wanted) -> Iterator[_Place]:
        """Where the incidents of a shard stand, in order."""
        key = incident_index_key(shard)
        newest = "+inf" if after is None else after.opened_ms
        oldest = "-inf" if wanted.since_ms is None else wanted.since_ms

        def page(start: int, redis: Redis) -> list[tuple[bytes, float]]:
            found: Any = redis.zrevrangebyscore(
                key, newest, oldest, start=start, num=_STEP, withscores=True
            )
            return list(found)

        for start in count(0, _STEP):
            names = self._store.ask(key, partial(page, start))
            for name, opened_ms in names:
                place = _Place(int(opened_ms), name.decode())
                if after is None or place < after:
                    yield place
            if len(names) < _STEP:
                return

    def _read(self, places: list[_Place]) -> list[Incident | None]:
        shards = self._store.options.shards

        def read(redis: Redis, some: Sequence[_Place]) -> list[list[bytes | None]]:
            pipeline = redis.pipeline(transaction=False)
            for place in some:
                key = incident_keys(_entity(place.name), place.name, shards)[0]
                pipeline.hmget(key, _TOLD)
            return list(pipeline.execute())

        records = self._store.shards.ask_each(places, lambda place: _entity(place.name), read)
        return [_incident(place.name, *found) for place, found in zip(places, records, strict=True)]


def _incident(
    name: str,
    entity: bytes | None,
    alert: bytes | None,
    worst: bytes | None,
    note: bytes | None,
) -> Incident | None:
    if entity is None or alert is None:
        return None
    newest = _ALERT.decode(alert)
    return Incident(
        incident=name,
        entity=entity.decode(),
        is_open=newest.kind != "resolved",
        opened_ms=newest.opened_ms,
        note=msgspec.json.decode(note or b"{}", type=Note),
        alert=newest,
        worst=None if worst is None else _ALERT.decode(worst),
    )


def _entity(incident: str) -> str:
    return incident.rpartition("@")[0]


def _parsed(cursor: str | None) -> _Place | None:
    if cursor is None:
        return None
    opened_ms, _, name = cursor.partition(":")
    if not (opened_ms.isascii() and opened_ms.isdigit() and len(opened_ms) < 16 and name):
        raise BadCursor("expected the `next` of a page of incidents")
    return _Place(int(opened_ms), name)
