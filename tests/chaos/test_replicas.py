"""Two replicas behind a round robin: as one, and through a rolling restart."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest

from tests.chaos.balancer import Balancer
from tests.chaos.conftest import Length
from tests.chaos.history import check
from tests.chaos.load import Load, Manner, tell_of_all
from tests.chaos.plant import plant_of
from tests.chaos.seen import Row, row_of
from tests.system.processes import RedisServer, Service

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

EXIT_SECONDS: Final = 20  # patience for a loaded machine
SMALL: Final = Manner(points_per_second=1_000, senders=4, points_each=1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="module")
def replicas(
    server: RedisServer, bundle_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Service]]:
    folder = tmp_path_factory.mktemp("replicas")
    with ExitStack() as stack:
        both = [
            Service(bundle_folder, folder / name, redis_url=server.url) for name in ("one", "other")
        ]
        for replica in both:
            stack.enter_context(replica)
        tell_of_all(both[0].url)
        time.sleep(2.0)  # the other one has heard of it within a second
        yield both


@pytest.fixture(scope="module")
def balancer(
    replicas: list[Service], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Balancer]:
    with Balancer(replicas, tmp_path_factory.mktemp("balancer")) as balancer:
        yield balancer


def test_a_round_robin_over_two_replicas_answers_as_one_service(
    bundle_folder: Path,
    server: RedisServer,
    replicas: list[Service],
    balancer: Balancer,
    length: Length,
    seen: list[Row],
) -> None:
    seconds = length.of(4, full=30)
    plant = plant_of(32, points=400 + 75 * seconds)
    with Load(balancer.port, plant) as load:
        time.sleep(seconds)
    assert load.history.refused == load.history.unanswered == []
    assert load.history.repeated == 0
    assert all("gaugewatch_points_total{" in one.get("/metrics") for one in replicas)
    checked = check(load.history, plant, bundle_folder, url=balancer.url, redis_url=server.url)
    seen.append(row_of("round robin of two", load.history, checked, faults=0))


def test_a_rolling_restart_is_noticed_by_nobody(
    bundle_folder: Path,
    server: RedisServer,
    replicas: list[Service],
    balancer: Balancer,
    length: Length,
    seen: list[Row],
) -> None:
    rounds, exits = length.of(1, full=5), list[float]()
    plant = plant_of(32, points=500 + 500 * rounds, prefix="rolling-")
    with Load(balancer.port, plant, SMALL) as load:
        for replica in replicas * rounds:
            load.until_acknowledged(20)
            start = time.monotonic()
            replica.terminate()
            assert replica.process.wait(EXIT_SECONDS) == 0, replica.log
            exits.append(time.monotonic() - start)
            replica.start()
            time.sleep(0.3)  # until the balancer has asked
        load.until_acknowledged(20)
    import collections; print(collections.Counter((a.status, a.detail) for a in load.history.attempts)); print([(round(a.ended-load.history.started,2), round(a.seconds,2)) for a in load.history.refused][:20])
    assert load.history.refused == load.history.unanswered == [], "no request failed"
    checked = check(load.history, plant, bundle_folder, url=balancer.url, redis_url=server.url)
    more = {"exit_seconds_max": round(max(exits), 2)}
    seen.append(
        row_of("rolling restart", load.history, checked, faults=2 * rounds, more=more)
    )
