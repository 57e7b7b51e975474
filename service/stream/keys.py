"""The keys of Redis: what is shared by all, what belongs to a shard, what belongs to an entity.

The keys of a shard share a hash tag, so that one commit stays on one node of a cluster.
"""

import zlib
from functools import lru_cache
from typing import Final

SHARDS_KEY: Final = "gw:shards"
EPOCH_KEY: Final = "gw:{configuration}:epoch"
CONFIGURATION_KEY: Final = "gw:{configuration}:document"
SECRET_KEY: Final = "gw:{configuration}:secret"  # signs what clients bring back, see secret.py
NAMES_REMEMBERED: Final = 2**16
LOG_KEY: Final = "gw:alert_log"  # a random name, so that a log begun anew is not taken for the old


@lru_cache(NAMES_REMEMBERED)
def checksum(entity: str) -> int:
    """Stable over processes and releases, unlike Python's own hash."""
    return zlib.crc32(entity.encode())


def shard_of(entity: str, shards: int) -> int:
    """Where an entity is kept."""
    return checksum(entity) % shards


@lru_cache(NAMES_REMEMBERED)
def entity_keys(entity: str, shards: int) -> tuple[bytes, bytes]:
    """Ring and snapshot; the shard is the hash tag."""
    name = entity.encode()
    tag = b"gw:{%d}:" % shard_of(entity, shards)
    return tag + b"e:" + name, tag + b"s:" + name


def alert_stream_key(shard: int) -> bytes:
    """Alerts of a shard, with ids 1-0, 2-0, ... so that what trimming took can be counted."""
    return b"gw:{%d}:alerts" % shard


def alert_count_key(shard: int) -> bytes:
    """Number of the last alert of a shard."""
    return b"gw:{%d}:alert_count" % shard


def incident_keys(entity: str, incident: str, shards: int) -> tuple[bytes, bytes]:
    """What is known of an incident, and its rows; `incident` is its name."""
    tag, name = b"gw:{%d}:" % shard_of(entity, shards), incident.encode()
    return tag + b"i:" + name, tag + b"j:" + name


def incident_index_key(shard: int) -> bytes:
    """Names of the incidents of a shard, by the time they opened."""
    return b"gw:{%d}:incidents" % shard


def deadline_key(shard: int) -> bytes:
    """Entities of a shard, by the time at which something happens to them if no point comes."""
    return b"gw:{%d}:deadlines" % shard


def entity_index_key(shard: int) -> bytes:
    """Entities of a shard, by the time at which their keys were last made or renewed."""
    return b"gw:{%d}:entities" % shard


def scored_key(shard: int, day: int) -> bytes:
    """How many points of a shard each model scored; `day` counts from 1970, in UTC."""
    return b"gw:{%d}:scored:%d" % (shard, day)
