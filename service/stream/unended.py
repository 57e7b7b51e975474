"""Unended: incidents that were told to open, and not to end, as their records say it.

For entities whose state nobody can read any more, and so cannot say what is open.
"""

from collections.abc import Sequence
from itertools import chain
from typing import Final

import msgspec
from redis import Redis

from service.stream.keys import incident_index_key, incident_keys, shard_of
from service.stream.messages import Alert
from service.stream.store import Store

MAX_LOOKED_AT: Final = 5_000  # incidents of a shard, the last opened ones
_ALERT: Final = msgspec.json.Decoder(Alert)


def unended(store: Store, entities: Sequence[str]) -> dict[str, list[Alert]]:
    """The newest alert of each such incident of these entities. Raises StoreUnavailable."""
    if not entities:
        return {}
    shards = store.options.shards

    def names(redis: Redis, some: Sequence[str]) -> list[list[bytes]]:
        pipeline = redis.pipeline(transaction=False)
        for entity in some:
            key = incident_index_key(shard_of(entity, shards))
            pipeline.zrevrange(key, 0, MAX_LOOKED_AT - 1)
        return list(pipeline.execute())

    def alerts(redis: Redis, some: Sequence[str]) -> list[bytes | None]:
        pipeline = redis.pipeline(transaction=False)
        for name in some:
            pipeline.hget(incident_keys(_entity(name), name, shards)[0], "alert")
        return list(pipeline.execute())

    one_of_each = list({shard_of(entity, shards): entity for entity in entities}.values())
    found = chain(*store.shards.ask_each(one_of_each, str, names))
    wanted = set(entities)
    known = [name for each in found if _entity(name := each.decode()) in wanted]
    told: dict[str, list[Alert]] = {}
    for content in store.shards.ask_each(known, _entity, alerts):
        if content is not None and (alert := _ALERT.decode(content)).kind != "resolved":
            told.setdefault(alert.entity, []).append(alert)
    return told


def _entity(incident: str) -> str:
    return incident.rpartition("@")[0]
