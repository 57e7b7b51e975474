"""The connections of the alert log: which client reads which streams, by the form of the URL."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, Protocol, TypeVar

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from service.stream.patience import Patience
from service.stream.sentinel import Sentinels, is_watched, refuse_replica
from service.stream.topology import Topology, is_cluster

Item = TypeVar("Item")
KeyOf = Callable[[Item], str | bytes]  # a key of the item, of the hash tag of all its keys

BLOCK_MS: Final = 1_000  # that a read waits for entries
_TOPOLOGY: Final = Patience(connect_seconds=0.5, command_seconds=0.5, budget_seconds=0)


class AlertNodes(Protocol):
    """Clients that wait long and ask once."""

    async def pipelines(
        self, items: Sequence[Item], key_of: KeyOf[Item]
    ) -> list[tuple[Redis, Sequence[Item]]]:
        """Whom to ask for which items, in commands of their own."""

    async def commands(
        self, items: Sequence[Item], key_of: KeyOf[Item]
    ) -> list[tuple[Redis, Sequence[Item]]]:
        """Whom to ask for which items, in one command."""

    def doubt(self) -> None:
        """A call failed: the keys may be elsewhere now."""

    async def close(self) -> None:
        """Let go of the connections."""


class OneServer:
    """One Redis has everything."""

    def __init__(self, url: str) -> None:
        self._client = _client(url)

    async def pipelines(
        self,
        items: Sequence[Item],
        key_of: KeyOf[Item],  # noqa: ARG002
    ) -> list[tuple[Redis, Sequence[Item]]]:
        """All items, at once."""
        return [(self._client, items)]

    commands = pipelines

    def doubt(self) -> None:
        """There is no other."""

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.aclose()


class ClusterNodes:
    """The nodes of a cluster; a command cannot span hash tags."""

    def __init__(self, url: str) -> None:
        self._topology = Topology(url, _TOPOLOGY)
        self._looking = asyncio.Lock()
        self._clients: dict[str, Redis] = {}

    async def pipelines(
        self, items: Sequence[Item], key_of: KeyOf[Item]
    ) -> list[tuple[Redis, Sequence[Item]]]:
        """Those of a node together. Raises RedisClusterException."""
        found: dict[Redis, list[Item]] = {}
        for redis, own in await self.commands(items, key_of):
            found.setdefault(redis, []).extend(own)
        return list(found.items())

    async def commands(
        self, items: Sequence[Item], key_of: KeyOf[Item]
    ) -> list[tuple[Redis, Sequence[Item]]]:
        """Every item by itself. Raises RedisClusterException."""
        keys = [key_of(item) for item in items]
        async with self._looking:
            urls = await asyncio.to_thread(self._topology.urls_of, keys)
        return [(self._of(url), [item]) for item, url in zip(items, urls, strict=True)]

    def doubt(self) -> None:
        """The nodes are asked before the next answer."""
        self._topology.doubt()

    async def close(self) -> None:
        """Let go of the connections."""
        async with self._looking:
            await asyncio.to_thread(self._topology.close)
        for client in self._clients.values():
            await client.aclose()

    def _of(self, url: str) -> Redis:
        if url not in self._clients:
            self._clients[url] = _client(url)
        return self._clients[url]


class WatchedServer:
    """Whichever server the sentinels name has everything."""

    def __init__(self, url: str) -> None:
        self._sentinels = Sentinels(url)
        self._looking = asyncio.Lock()
        self._clients: dict[str, Redis] = {}
        self._primary: str | None = None

    async def pipelines(
        self,
        items: Sequence[Item],
        key_of: KeyOf[Item],  # noqa: ARG002
    ) -> list[tuple[Redis, Sequence[Item]]]:
        """All items, at once. Raises what a client raises that reaches nobody."""
        async with self._looking:
            if self._primary is None:
                self._primary = await asyncio.to_thread(self._sentinels.primary)
            if self._primary not in self._clients:
                self._clients[self._primary] = _client(self._primary, connected=_only_primary)
            return [(self._clients[self._primary], items)]

    commands = pipelines

    def doubt(self) -> None:
        """A sentinel is asked before the next answer."""
        self._primary = None

    async def close(self) -> None:
        """Let go of the connections."""
        for client in self._clients.values():
            await client.aclose()


def alert_nodes(url: str) -> AlertNodes:
    """What the scheme of a URL asks for; nothing is sent yet."""
    if is_cluster(url):
        return ClusterNodes(url)
    return WatchedServer(url) if is_watched(url) else OneServer(url)


async def _only_primary(connection: Any) -> None:
    await connection.on_connect()
    await connection.send_command("ROLE")
    refuse_replica(await connection.read_response())


def _client(
    url: str, *, connected: Callable[[Any], Coroutine[Any, Any, None]] | None = None
) -> Redis:
    return Redis.from_url(
        url,
        protocol=2,
        driver_info=None,
        retry=Retry(NoBackoff(), 0),
        socket_timeout=2 * BLOCK_MS / 1000,
        socket_connect_timeout=BLOCK_MS / 1000,
        redis_connect_func=connected,
    )
