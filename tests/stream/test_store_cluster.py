"""The tests of the store again, on a cluster of a single node: there no key is elsewhere."""

from collections.abc import Iterator
from contextlib import closing
from inspect import signature

import pytest
from redis import Redis

from service.errors import SettingInvalid, StoreMisconfigured, StoreUnavailable
from service.stream.store import Store
from service.stream.topology import Topology, is_cluster
from tests.stream import test_store
from tests.stream.test_store import OPTIONS
from tests.system.nodes import Nodes

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    with Nodes(tmp_path_factory.mktemp("cluster"), primaries=1, fsync="everysec") as started:
        yield started


@pytest.fixture
def client(nodes: Nodes) -> Iterator[Redis]:
    with Redis(host="127.0.0.1", port=nodes.all[0].port) as opened:
        opened.flushall()
        opened.config_set("appendfsync", "everysec")
        yield opened


@pytest.fixture
def store(nodes: Nodes, client: Redis) -> Iterator[Store]:
    with closing(Store(nodes.url, OPTIONS)) as opened:
        yield opened


def needs_only_a_store(test: object) -> bool:
    parameters = signature(test).parameters if callable(test) else {}
    return "store" in parameters and not {"redis_url", "server_binary"} & set(parameters)


AGAIN = {
    name: test
    for name, test in vars(test_store).items()
    if name.startswith("test_") and needs_only_a_store(test)
}
globals().update(AGAIN)


def test_there_are_tests_to_run_again() -> None:
    assert len(AGAIN) > 15


def test_a_node_of_a_cluster_is_no_redis_for_the_url_of_one(nodes: Nodes, client: Redis) -> None:
    url = f"redis://127.0.0.1:{nodes.all[0].port}"
    with closing(Store(url, OPTIONS)) as plain, pytest.raises(StoreMisconfigured, match="cluster:"):
        plain.check()


def test_a_cluster_of_which_no_node_answers_is_unavailable() -> None:
    with (
        closing(Store("redis+cluster://127.0.0.1:1,127.0.0.1:2", OPTIONS)) as nowhere,
        pytest.raises(StoreUnavailable, match="did not answer"),
    ):
        nowhere.check()


@pytest.mark.parametrize(
    ("url", "first"),
    [
        ("redis+cluster://one", "redis://one:6379"),
        ("redis+cluster://one:7000,two:7001", "redis://one:7000"),
        (
            "rediss+cluster://:pass@one:7000/?ssl_cert_reqs=none",
            "rediss://:pass@one:7000/?ssl_cert_reqs=none",
        ),
        ("redis+cluster://user:p%40ss@[::1]:7000", "redis://user:p%40ss@[::1]:7000"),
    ],
)
def test_nodes_are_reached_with_the_credentials_of_the_url(url: str, first: str) -> None:
    topology = Topology(url, OPTIONS.patience)
    assert is_cluster(url)
    assert topology.url_at(*topology.starts[0]) == first
    assert not is_cluster(first)


@pytest.mark.parametrize("url", ["redis+cluster://", "redis+cluster://one:x", "redis+cluster://,"])
def test_a_url_without_nodes_is_refused(url: str) -> None:
    with pytest.raises(SettingInvalid, match="host:port"):
        Store(url, OPTIONS)
