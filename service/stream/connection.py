"""The connection to Redis: what is asked in one call, and what in a call per group of keys.

One Redis is asked for everything at once, also where sentinels say which (sentinel.py). A cluster
is asked for each hash tag by itself (cluster.py). Nobody else knows which of them it is.
"""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from redis import Redis

from service.stream.cluster import Cluster
from service.stream.patience import Patience
from service.stream.sentinel import Watched, is_watched
from service.stream.topology import is_cluster

Answer = TypeVar("Answer")
Item = TypeVar("Item")


class Connection(Protocol):
    """For one thread at a time; every call raises StoreUnavailable."""

    def ask(self, key: str | bytes, action: Callable[[Redis], Answer]) -> Answer:
        """What is known where this key lies; all that `action` asks for has its hash tag."""

    def ask_each(
        self,
        items: Sequence[Item],
        key_of: Callable[[Item], bytes],
        action: Callable[[Redis, Sequence[Item]], Sequence[Answer]],
    ) -> list[Answer]:
        """One answer per item; `action` gets items that can be asked for in one call.

        `key_of` is the same key for all items of a hash tag. A repeated call may ask again.
        """

    def ask_nodes(self, action: Callable[[Redis], Answer]) -> list[Answer]:
        """What each server says that takes writes."""

    def close(self) -> None:
        """Let go of it."""


class Server:
    """One Redis."""

    def __init__(self, url: str, patience: Patience) -> None:
        self._client = patience.client(url)
        self._repeated = patience.repeated

    def ask(self, key: str | bytes, action: Callable[[Redis], Answer]) -> Answer:  # noqa: ARG002
        """Wherever the key lies, it is here."""
        return self._repeated(lambda: action(self._client))

    def ask_each(
        self,
        items: Sequence[Item],
        key_of: Callable[[Item], bytes],  # noqa: ARG002
        action: Callable[[Redis, Sequence[Item]], Sequence[Answer]],
    ) -> list[Answer]:
        """All items in one call."""
        return list(self._repeated(lambda: action(self._client, items))) if items else []

    def ask_nodes(self, action: Callable[[Redis], Answer]) -> list[Answer]:
        """The only one."""
        return [self._repeated(lambda: action(self._client))]

    def close(self) -> None:
        """Let go of it."""
        self._client.close()


def connect(url: str, patience: Patience) -> Connection:
    """What the scheme of a URL asks for; nothing is sent yet."""
    if is_cluster(url):
        return Cluster(url, patience)
    return Watched(url, patience) if is_watched(url) else Server(url, patience)
