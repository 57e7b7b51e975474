"""The shards: what is asked of several of them, and answered one by one."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from redis import Redis

from service.stream.connection import Connection
from service.stream.keys import entity_index_key, shard_of

Answer = TypeVar("Answer")
Item = TypeVar("Item")


class Shards:
    """`action` gets those that one call may span: all of one Redis, one at a time of a cluster.

    It may be called again for what was not answered. Everything raises StoreUnavailable.
    """

    def __init__(self, connection: Connection, count: int) -> None:
        self._connection = connection
        self._count = count

    def ask_each(
        self,
        items: Sequence[Item],
        entity_of: Callable[[Item], str],
        action: Callable[[Redis, Sequence[Item]], Sequence[Answer]],
    ) -> list[Answer]:
        """One answer per item, asked where its entity is kept."""

        def key_of(item: Item) -> bytes:
            return entity_index_key(shard_of(entity_of(item), self._count))

        return self._connection.ask_each(items, key_of, action)

    def ask_all(self, action: Callable[[Redis, Sequence[int]], Sequence[Answer]]) -> list[Answer]:
        """One answer per shard."""
        return self._connection.ask_each(range(self._count), entity_index_key, action)
