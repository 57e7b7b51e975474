"""The header of an entity, as commit.lua packs it in front of its ring."""

import struct
from typing import Final, NamedTuple, cast

from redis import Redis

from service.stream.keys import entity_keys

_FORM: Final = struct.Struct("<16s6q96s")
HEADER_BYTES: Final = _FORM.size


class Header(NamedTuple):
    """What is kept of an entity beside its rows."""

    token: bytes
    seq: int
    epoch: int
    due_ms: int
    snapshot_seq: int
    base: int
    expires_seconds: int
    layout: bytes


def read_header(client: Redis, entity: str, shards: int) -> Header | None:
    """None where nothing is kept."""
    ring_key = entity_keys(entity, shards)[0].decode()
    packed = cast(bytes, client.getrange(ring_key, 0, HEADER_BYTES - 1))
    return Header(*_FORM.unpack(packed)) if packed else None


def write_header(client: Redis, entity: str, shards: int, header: Header) -> None:
    """Overwrite it."""
    ring_key = entity_keys(entity, shards)[0].decode()
    client.setrange(ring_key, 0, _FORM.pack(*header))
