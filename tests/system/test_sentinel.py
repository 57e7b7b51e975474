"""The service on a Redis that sentinels watch: it goes where they say, and is never deceived."""

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from redis import Redis

from service.errors import SettingInvalid, StoreUnavailable
from service.stream.sentinel import Sentinels
from service.stream.store import Store, StoreOptions
from tests.builders import ENTITIES
from tests.system.conftest import Undisturbed
from tests.system.processes import Service, until
from tests.system.replays import (
    SERIES,
    Replay,
    Run,
    alert_log,
    assert_same_verdicts,
    by_entity,
    client_of,
    interleaved,
    lost_points,
    post_until_acknowledged,
    requests_of,
    without_gaps,
)
from tests.system.subscribers import Subscriber
from tests.system.test_cluster import assert_only_503, points_of
from tests.system.watched import NAME, WatchedServers

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[WatchedServers]:
    with WatchedServers(tmp_path / "watched") as started:
        yield started


def test_a_killed_primary_is_replaced_and_all_is_as_undisturbed(
    bundle_folder: Path, tmp_path: Path, watched: WatchedServers, undisturbed: Undisturbed
) -> None:
    chosen = {"redis_url": watched.url, "durability": "replicated"}
    with (
        Service(bundle_folder, tmp_path, **chosen) as service,
        Subscriber(service) as live,
    ):
        replay = Replay(service, seed=61)
        replay.begin()
        replay.until_sent(replay.requests // 3)
        killed = watched.primary
        killed.kill()
        until(lambda: service.status("/readyz") == 503, "/readyz to be 503")
        until(lambda: service.status("/readyz") == 200, "/readyz to be 200 again")
        run = replay.end()
        assert watched.primary is not killed
        live.until(sum(map(len, undisturbed.alerts.values())))
        assert lost_points(service) == 0
    assert_only_503(run.refusals)
    assert run.refusals, "a killed primary is missed"
    assert_same_verdicts(run, undisturbed.run.verdicts)
    assert alert_log(watched.primary.url) == undisturbed.alerts
    assert by_entity(live.alerts) == undisturbed.alerts


def test_what_no_replica_had_copied_is_missed_counted_and_scored_again(
    bundle_folder: Path, tmp_path: Path, watched: WatchedServers, undisturbed: Undisturbed
) -> None:
    """With `always`: acknowledged, but on the disk of a primary that does not come back."""
    requests, run = requests_of(interleaved(SERIES), seed=62, largest=20), Run()
    kept, lost = requests[:20], requests[20:30]
    primary, replicas = watched.primary, watched.replicas
    with (
        Service(bundle_folder, tmp_path, redis_url=watched.url) as service,
        client_of(service) as client,
    ):
        for request in kept:
            post_until_acknowledged(client, request, run)
        until(lambda: are_equal(watched), "replicas to have copied")
        for replica in replicas:
            replica.freeze()
        with Redis.from_url(primary.url) as redis:
            redis.client_kill_filter(_type="replica")
        for request in lost:
            post_until_acknowledged(client, request, run)
        primary.kill()
        for replica in replicas:
            replica.thaw()
        until(lambda: watched.primary is not primary, "a replica to take over")
        until(lambda: service.status("/readyz") == 200, "/readyz to be 200 again")
        for request in [*lost, *requests[30:]]:
            post_until_acknowledged(client, request, run)
        assert lost_points(service) == sum(points_of(lost, entity) for entity in ENTITIES)
    assert_only_503(run.refusals)
    assert_same_verdicts(run, undisturbed.run.verdicts)
    alerts, gaps = without_gaps(alert_log(watched.primary.url))
    assert alerts == undisturbed.alerts
    assert gaps == set(ENTITIES)


def test_a_sentinel_that_is_away_or_behind_is_not_believed(watched: WatchedServers) -> None:
    watched.sentinels[0].kill()
    with closing(Store(watched.url, StoreOptions())) as store:
        store.check()
        old = watched.primary
        with Redis.from_url(old.url) as redis:
            until(watched.are_in_step, "replicas in step")
            (other, _) = watched.replicas
            redis.replicaof("127.0.0.1", str(other.port))  # nobody told the sentinels
            redis.client_kill_filter(_type="normal", skipme=True)
        with pytest.raises(StoreUnavailable, match="came a replica"):
            store.entity_count()
        until(lambda: is_served(store), "the sentinels to find a primary")


def test_the_url_names_sentinels_and_the_primary() -> None:
    for url in ("redis+sentinel://one:1,two:2", "redis+sentinel://one:1/a/b"):
        with pytest.raises(SettingInvalid, match="name-of-the-primary"):
            Sentinels(url)
    with pytest.raises(SettingInvalid, match="host:port"):
        Sentinels(f"redis+sentinel://one:many/{NAME}")


def are_equal(watched: WatchedServers) -> bool:
    offset = watched.primary.said()["master_repl_offset"]
    return all(one.said()["slave_repl_offset"] >= offset - 200 for one in watched.replicas)


def is_served(store: Store) -> bool:
    try:
        store.check()
    except StoreUnavailable:
        time.sleep(0.1)
        return False
    return True
