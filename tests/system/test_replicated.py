"""Durability `replicated`: a point is answered when another server has it too, and not before."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from redis import Redis

from service.errors import StoreMisconfigured, StoreUnavailable
from service.stream.commit import Commit, Layout, Outcome
from service.stream.store import Store, StoreOptions
from tests.system.processes import RedisServer, Service, until
from tests.system.replays import (
    SERIES,
    Refused,
    Run,
    client_of,
    points_of,
    post,
    post_until_acknowledged,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

OPTIONS = StoreOptions(durability="replicated")
LAYOUT = Layout(row_bytes=4, capacity=8, digest="a1")
ANSWERED_SECONDS = 10.0  # 1 s is promised; the machine may be loaded


@dataclass(frozen=True)
class Pair:
    """A primary and its replica."""

    primary: RedisServer
    replica: RedisServer

    def promote(self) -> None:
        """The primary is lost with its disk, the replica takes its place."""
        self.primary.kill()
        with Redis.from_url(self.replica.url) as client:
            client.replicaof("NO", "ONE")


@pytest.fixture
def pair(tmp_path: Path, server_binary: Path) -> Iterator[Pair]:
    with (
        RedisServer(tmp_path / "primary", binary=server_binary) as primary,
        RedisServer(
            tmp_path / "replica", binary=server_binary, options=primary.followed()
        ) as replica,
    ):
        with closing(Store(primary.url, OPTIONS)) as store:
            until(lambda: is_confirmed(store), "the replica to be in step, on its disk too")
        yield Pair(primary, replica)


def commit() -> Commit:
    return Commit("pump", b"", b"t" * 16, 1, b"row.", 1, LAYOUT, b"snapshot")


def test_what_is_confirmed_is_on_the_replica(pair: Pair) -> None:
    with closing(Store(pair.primary.url, OPTIONS)) as store:
        store.check()
        assert store.commit([commit()]) == [Outcome.OK]
        store.confirm(["pump"])
        store.confirm()
        pair.promote()
    with closing(Store(pair.replica.url, OPTIONS)) as other:
        assert [one and one.token for one in other.load(["pump"])] == [b"t" * 16]


def test_nobody_confirms_what_the_replica_has_not(pair: Pair) -> None:
    """Also not a connection that has written nothing itself, for which WAIT would not wait."""
    with (
        closing(Store(pair.primary.url, OPTIONS)) as store,
        closing(Store(pair.primary.url, OPTIONS)) as other,
    ):
        store.check()
        assert other.entity_count() == 0
        pair.replica.freeze()
        assert store.commit([commit()]) == [Outcome.OK]
        for one in (store, other, other):
            with pytest.raises(StoreUnavailable):
                one.confirm(["pump"])
        pair.replica.thaw()
        until(lambda: is_confirmed(other), "the replica to confirm")


def test_a_primary_that_may_lose_what_it_wrote_is_refused(pair: Pair) -> None:
    with Redis.from_url(pair.primary.url) as client:
        client.config_set("appendfsync", "everysec")
    complaint = pytest.raises(StoreMisconfigured, match="appendfsync always, came everysec")
    with closing(Store(pair.primary.url, OPTIONS)) as store, complaint:
        store.check()


def test_a_repeated_request_is_answered_when_the_replica_has_it(
    bundle_folder: Path, tmp_path: Path, pair: Pair
) -> None:
    """By whichever replica of the service: none takes the rows of the primary for an answer."""
    points, run = points_of(SERIES[0])[:40], Run()
    chosen = {"redis_url": pair.primary.url, "durability": "replicated", "drain_seconds": 0}
    with (
        Service(bundle_folder, tmp_path / "one", **chosen) as service,
        Service(bundle_folder, tmp_path / "other", **chosen) as other,
        client_of(service) as client,
        client_of(other) as other_client,
    ):
        post_until_acknowledged(client, points[:20], run)
        pair.replica.freeze()
        for one in (client, client, other_client):
            refused = post(one, points)
            assert isinstance(refused, Refused)
            assert (refused.status, refused.code) == (503, "store_unavailable")
            assert refused.retry_after == "1"
            assert refused.seconds < ANSWERED_SECONDS
        until(lambda: service.status("/readyz") == 503, "/readyz to be 503")
        pair.replica.thaw()
        until(lambda: service.status("/readyz") == 200, "/readyz to be 200 again")
        post_until_acknowledged(other_client, points, run)
        assert run.repeated == len(points), "they were kept all the same, once"
        assert len(run.verdicts) == len(points)


def is_confirmed(store: Store) -> bool:
    try:
        store.confirm()
    except StoreUnavailable:
        return False
    return True
