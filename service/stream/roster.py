"""The roster: which entities are kept, a page at a time, and how many.

The commit that makes an entity, or renews its keys, puts it at the end of the index of its shard.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final, NamedTuple, Self

from redis import Redis

from service.errors import BadCursor
from service.stream.connection import Connection
from service.stream.keys import entity_index_key, entity_keys, shard_of

MAX_CURSOR_CHARACTERS: Final = 1_100  # of two numbers and a name
MAX_LOOKED_AT: Final = 20_000  # entities that one page may pass over
_STEP: Final = 200  # entities read at once, and those of the same millisecond


class EntityPage(NamedTuple):
    """Some entities, and the cursor of those that follow, None at the end."""

    entities: list[str]
    next: str | None


class _Place(NamedTuple):
    """Where an entity stands: by shard, then by when it was renewed, then by its name as bytes."""

    shard: int
    renewed_ms: int
    name: bytes

    @property
    def cursor(self) -> str:
        return f"{self.shard}:{self.renewed_ms}:{self.name.decode()}"

    @classmethod
    def parsed(cls, cursor: str, shards: int) -> Self:
        """The inverse of `cursor`. Raises BadCursor."""
        shard, renewed_ms, name = (*cursor.split(":", 2), "", "")[:3]
        is_number = all(
            each.isascii() and each.isdigit() and len(each) < 16 for each in (shard, renewed_ms)
        )
        is_cursor = is_number and len(cursor) < MAX_CURSOR_CHARACTERS and int(shard) < shards
        if not is_cursor:
            raise BadCursor("expected the `next` of a page of entities")
        return cls(int(shard), int(renewed_ms), name.encode())


def entity_page(
    connection: Connection, shards: int, *, after: str | None, limit: int
) -> EntityPage:
    """At most `limit` entities behind a cursor, fewer where many expired. Raises BadCursor.

    Who is kept all the while is on some page; who is renewed while pages are read may be on two.
    """
    place = _Place(0, 0, b"") if after is None else _Place.parsed(after, shards)
    found: list[str] = []
    for looked_at, (one, is_kept) in enumerate(_all(connection, place, shards)):
        if len(found) == limit or looked_at == MAX_LOOKED_AT:
            return EntityPage(found, place.cursor)
        found += [one.name.decode()] if is_kept else []
        place = one
    return EntityPage(found, None)


def entity_count(redis: Redis, shards: Sequence[int]) -> list[int]:
    """How many each shard keeps; who expired counts until a new entity needs the place."""
    pipeline = redis.pipeline(transaction=False)
    for shard in shards:
        pipeline.zcard(entity_index_key(shard))
    return list(pipeline.execute())


def forget(redis: Redis, entities: Sequence[str], *, shards: int) -> list[int]:
    """Delete what is kept of entities, and their places; whether each had one."""
    pipeline = redis.pipeline(transaction=True)
    for entity in entities:
        pipeline.unlink(*entity_keys(entity, shards))
        pipeline.zrem(entity_index_key(shard_of(entity, shards)), entity)
    return list(pipeline.execute()[1::2])


def _all(connection: Connection, place: _Place, shards: int) -> Iterator[tuple[_Place, bool]]:
    """What is behind a place, and whether it is still kept; read as it is asked for."""
    while place.shard < shards:
        key = entity_index_key(place.shard)
        places = connection.ask(key, partial(_following, place=place))
        kept = connection.ask(key, partial(_are_kept, places=places, shards=shards))
        yield from zip(places, kept, strict=True)
        place = places[-1] if places else _Place(place.shard + 1, 0, b"")


def _following(redis: Redis, place: _Place) -> list[_Place]:
    """Some of what is behind a place in its shard; those of the same millisecond all at once."""
    key = entity_index_key(place.shard)
    pipeline = redis.pipeline(transaction=True)
    pipeline.zrangebyscore(key, place.renewed_ms, place.renewed_ms)
    pipeline.zrangebyscore(key, f"({place.renewed_ms}", "+inf", start=0, num=_STEP, withscores=True)
    together, later = pipeline.execute()
    found = [place._replace(name=name) for name in together if name > place.name]
    return found + [_Place(place.shard, int(renewed_ms), name) for name, renewed_ms in later]


def _are_kept(redis: Redis, places: Sequence[_Place], shards: int) -> list[int]:
    pipeline = redis.pipeline(transaction=False)
    for place in places:
        pipeline.exists(entity_keys(place.name.decode(), shards)[0])
    return list(pipeline.execute())
