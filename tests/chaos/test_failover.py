"""Kill -9 of a primary under load, with durability `replicated`: of sentinels, of a cluster."""

import time
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Final

import pytest

from service.stream.keys import entity_index_key, shard_of
from tests.chaos.conftest import Length
from tests.chaos.history import assert_refused_politely, check, check_with
from tests.chaos.load import Load, tell_of_all
from tests.chaos.plant import plant_of
from tests.chaos.seen import Row, row_of
from tests.system.nodes import Nodes, alerts_on
from tests.system.processes import Service, until
from tests.system.replays import SHARDS, lost_points
from tests.system.watched import WatchedServers

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

WRITES_AGAIN_SECONDS: Final = 30.0  # 5 s are promised; the machine may be loaded


def test_a_primary_that_dies_takes_nothing_acknowledged_with_it(
    bundle_folder: Path, tmp_path: Path, length: Length, seen: list[Row]
) -> None:
    kills, stopped = length.of(1, full=5), list[float]()
    plant = plant_of(32, points=600 + 600 * kills)
    with (
        WatchedServers(tmp_path / "watched") as watched,
        Service(
            bundle_folder, tmp_path, redis_url=watched.url, durability="replicated", drain_seconds=0
        ) as service,
    ):
        tell_of_all(service.url)
        with Load(service.port, plant) as load:
            for _ in range(kills):
                load.until_acknowledged(40)
                primary, killed = watched.primary, time.monotonic()
                primary.kill()
                load.until_acknowledged(20)
                stopped.append(longest_pause(load, since=killed))
                until(lambda: watched.primary is not primary, "sentinels to agree")  # noqa: B023
                primary.start()
                until(watched.are_in_step, "the killed one to follow")
        where = {"url": service.url, "redis_url": watched.primary.url}
        checked = check(load.history, plant, bundle_folder, **where)
        assert lost_points(service) == 0
    assert load.history.unanswered == []
    assert_refused_politely(load.history.refused)
    assert max(stopped) < WRITES_AGAIN_SECONDS
    more = {"writes_again_seconds_max": round(max(stopped), 2)}
    seen.append(row_of("primary killed, sentinels", load.history, checked, faults=kills, more=more))


def test_a_node_that_dies_takes_nothing_acknowledged_with_it(
    bundle_folder: Path, tmp_path: Path, length: Length, seen: list[Row]
) -> None:
    """Six processes; the one that is killed has a shard with points."""
    kills, stopped, took_over = length.of(1, full=5), list[float](), list[float]()
    plant = plant_of(32, points=600 + 600 * kills)
    key = entity_index_key(shard_of(next(iter(plant.series)), SHARDS))
    with (
        Nodes(tmp_path / "nodes", replicas=3) as nodes,
        Service(
            bundle_folder, tmp_path, redis_url=nodes.url, durability="replicated", drain_seconds=0
        ) as service,
    ):
        tell_of_all(service.url)
        with Load(service.port, plant) as load:
            for _ in range(kills):
                load.until_acknowledged(40)
                primary, killed = nodes.serving(key), time.monotonic()
                primary.kill()
                until(lambda: nodes.serving(key) is not primary, "its replica to take over")  # noqa: B023
                took_over.append(time.monotonic() - killed)
                primary.start()  # as the replica without which nothing is confirmed
                until(primary.is_in_step, "the killed one to follow")
                load.until_acknowledged(20)
                stopped.append(longest_pause(load, since=killed))
        log_of = partial(alerts_on, nodes, shards=SHARDS)
        checked = check_with(load.history, plant, bundle_folder, url=service.url, log_of=log_of)
        assert lost_points(service) == 0
    assert load.history.unanswered == []
    assert_refused_politely(load.history.refused)
    assert max(took_over) < WRITES_AGAIN_SECONDS
    more = {
        "took_over_seconds_max": round(max(took_over), 2),
        "writes_again_seconds_max": round(max(stopped), 2),
    }
    seen.append(row_of("primary killed, cluster", load.history, checked, faults=kills, more=more))


def longest_pause(load: Load, *, since: float) -> float:
    """Seconds without an acknowledgement."""
    ends = [since, *(one.ended for one in load.history.accepted if one.ended > since)]
    return max(after - before for before, after in pairwise(ends))
