"""A Redis Cluster of real processes: made, moved about, and killed."""

import socket
import time
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec
from redis import Redis
from redis.cluster import RedisCluster
from redis.crc import key_slot
from redis.exceptions import ResponseError

from service.stream.keys import alert_count_key, alert_stream_key
from service.stream.messages import Alert
from tests.system.processes import RedisServer, free_port, until

SLOTS: Final = 16_384
NODE_TIMEOUT_MS: Final = 1_000  # after which a node that is silent is replaced
OPTIONS: Final = {
    "cluster-enabled": "yes",
    "cluster-node-timeout": NODE_TIMEOUT_MS,
    "cluster-require-full-coverage": "no",
    "repl-diskless-sync-delay": 0,
}
FAILOVER_SECONDS: Final = 6.0  # longer than the 5 s after which a node forgets that it should


class Node:
    """`redis-server` as a node; keeps port and data over restarts."""

    def __init__(self, folder: Path, *, fsync: str) -> None:
        self.port = next(port for port in iter(free_port, 0) if _has_bus(port))
        self.client = Redis(host="127.0.0.1", port=self.port, decode_responses=True)
        server = RedisServer(folder, port=self.port, options={**OPTIONS, "appendfsync": fsync})
        self.start, self.kill = server.start, server.kill
        self.freeze, self.thaw = server.freeze, server.thaw

    def cluster(self, *words: object) -> Any:
        """What a CLUSTER command says."""
        return self.client.execute_command(f"CLUSTER {words[0]}", *words[1:])  # type: ignore[no-untyped-call]

    @property
    def id(self) -> str:
        return str(self.cluster("MYID"))

    @property
    def info(self) -> dict[str, str]:
        """CLUSTER INFO."""
        return dict(self.cluster("INFO"))

    def role(self) -> str:
        return str(self.client.info("replication")["role"])

    def take_over(self) -> None:
        """Become the primary; asked again until it is, as a node forgets a request after 5 s."""
        until(self._has_taken_over, "the replica to take over")

    def _has_taken_over(self) -> bool:
        if self.role() == "master":
            return True
        with suppress(ResponseError):  # for a moment its primary may be out of reach
            self.cluster("FAILOVER")
        deadline = time.monotonic() + FAILOVER_SECONDS
        while self.role() != "master" and time.monotonic() < deadline:
            time.sleep(0.02)
        return self.role() == "master"

    def is_in_step(self) -> bool:
        """A replica that has copied everything."""
        return self.client.info("replication").get("master_link_status") == "up"


class Nodes:
    """Primaries that share the slots evenly, and `replicas` of the first ones."""

    def __init__(
        self, folder: Path, *, primaries: int = 3, replicas: int = 0, fsync: str = "always"
    ) -> None:
        names = [f"node-{number}" for number in range(primaries + replicas)]
        self.all = [Node(folder / name, fsync=fsync) for name in names]
        self.primaries, self.replicas = self.all[:primaries], self.all[primaries:]

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.all)
        return f"redis+cluster://{hosts}"

    def __enter__(self) -> Self:
        try:
            for node in self.all:
                node.start()
            self._join()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        for node in self.all:
            node.client.close()
            node.kill()

    def client(self) -> RedisCluster:
        return RedisCluster(host="127.0.0.1", port=self.all[-1].port)

    def serving(self, key: bytes) -> Node:
        """The primary that has a key."""
        with self.client() as client:
            found = client.get_node_from_key(key)
        return next(node for node in self.all if node.port == found.port)

    def move(self, key: bytes, target: Node) -> None:
        """Move the slot of a key with all its keys, one by one, as `redis-cli --cluster` does."""
        self.begin_move(key, target)
        self.end_move(key, target)

    def begin_move(self, key: bytes, target: Node) -> None:
        """The slot is moving, its keys are there already."""
        slot, source = key_slot(key), self.serving(key)
        target.cluster("SETSLOT", slot, "IMPORTING", source.id)
        source.cluster("SETSLOT", slot, "MIGRATING", target.id)
        while keys := source.cluster("GETKEYSINSLOT", slot, 10):
            source.client.migrate("127.0.0.1", target.port, keys, 0, 5_000)

    def end_move(self, key: bytes, target: Node) -> None:
        """The slot belongs to the other node."""
        for node in (target, *self.primaries):
            node.cluster("SETSLOT", key_slot(key), "NODE", target.id)

    def _all_have_met(self) -> bool:
        """A handshake that took too long is forgotten, so that alone is a reason to begin again."""
        known = [int(node.info["cluster_known_nodes"]) for node in self.all]
        for node, count in zip(self.all[1:], known[1:], strict=True):
            if count == 1:
                node.cluster("MEET", "127.0.0.1", self.all[0].port)
        return set(known) == {len(self.all)}

    def _join(self) -> None:
        count = len(self.primaries)
        for number, node in enumerate(self.primaries):
            bounds = [SLOTS * edge // count for edge in (number, number + 1)]
            node.cluster("ADDSLOTSRANGE", bounds[0], bounds[1] - 1)
            node.cluster("SET-CONFIG-EPOCH", number + 1)
        until(self._all_have_met, "the nodes to know each other")
        for replica, primary in zip(self.replicas, self.primaries, strict=False):
            replica.cluster("REPLICATE", primary.id)
        until(lambda: all(map(Node.is_in_step, self.replicas)), "replicas in step")
        until(
            lambda: all(node.info["cluster_state"] == "ok" for node in self.all),
            "all slots to be served",
        )


def _has_bus(port: int) -> bool:
    """Whether the port that nodes talk to each other by is free too."""
    try:
        socket.create_server(("127.0.0.1", port + 10_000)).close()
    except OSError:
        return False
    return True


def alerts_on(nodes: Nodes, *, shards: int) -> dict[str, list[bytes]]:
    """Every alert of every entity, in order, each once; the numbers have no holes."""
    found: dict[str, list[bytes]] = defaultdict(list)
    with nodes.client() as client:
        for shard in range(shards):
            entries: Any = client.xrange(alert_stream_key(shard))
            numbers = [stream_id for stream_id, _ in entries]
            assert numbers == [b"%d-0" % number for number in range(1, len(entries) + 1)]
            assert int(client.get(alert_count_key(shard)) or 0) == len(entries)
            for _, fields in entries:
                found[fields[b"entity"].decode()].append(fields[b"alert"])
    ids = [msgspec.json.decode(alert, type=Alert).id for some in found.values() for alert in some]
    assert len(ids) == len(set(ids))
    return dict(found)
