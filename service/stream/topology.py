"""The topology of a Redis Cluster: which node serves a key, as redis-py finds it out."""

from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from redis import RedisCluster
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode
from redis.exceptions import RedisClusterException
from redis.retry import Retry

from service.stream.patience import Patience
from service.stream.places import Places

SUFFIX: Final = "+cluster"
DEFAULT_PORT: Final = 6379


def is_cluster(url: str) -> bool:
    """Whether a URL means a cluster: `redis+cluster://` or `rediss+cluster://`."""
    return urlsplit(url).scheme.endswith(SUFFIX)


class Topology:
    """Asks the nodes of a URL, then those it learned of; for one thread at a time."""

    def __init__(self, url: str, patience: Patience) -> None:
        """The hosts of the URL are separated by commas; one that answers is enough.

        Raises SettingInvalid.
        """
        self._places = Places(url, default_port=DEFAULT_PORT)
        self.starts = self._places.hosts
        self._patience = patience
        self._cluster: RedisCluster | None = None
        self._is_doubtful = False

    def urls_of(self, keys: Sequence[str | bytes]) -> list[str]:
        """URLs of the nodes that take writes of these keys. Raises RedisClusterException."""
        known = self._known()
        nodes = [known.get_node_from_key(key) for key in keys]  # type: ignore[no-untyped-call]
        return [self.url_at(node.host, node.port) for node in nodes]

    def primaries(self) -> list[str]:
        """URLs of the nodes that take writes. Raises RedisClusterException."""
        nodes = self._known().get_primaries()  # type: ignore[no-untyped-call]
        return [self.url_at(node.host, node.port) for node in nodes]

    def url_at(self, host: str, port: int) -> str:
        """URL of one node, with the credentials and options of all."""
        return self._places.url_at(host, port, self._places.path)

    def doubt(self) -> None:
        """What was learned may not be so any more: it is asked for before the next answer."""
        self._is_doubtful = True

    def close(self) -> None:
        """Let go of the connections."""
        if self._cluster is not None:
            self._cluster.close()
            self._cluster = None

    def _known(self) -> RedisCluster:
        if self._cluster is None:
            self._cluster = self._found()
        elif self._is_doubtful:
            try:
                self._cluster.nodes_manager.initialize()
            except RedisClusterException:
                self.close()  # all that were known are gone: start at the URL again
                raise
        self._is_doubtful = False
        return self._cluster

    def _found(self) -> RedisCluster:
        first, *others = self.starts
        also = [ClusterNode(*other) for other in others]  # type: ignore[no-untyped-call]
        return RedisCluster.from_url(
            self.url_at(*first),
            startup_nodes=also,
            protocol=2,
            driver_info=None,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=self._patience.command_seconds,
            socket_connect_timeout=self._patience.connect_seconds,
        )
