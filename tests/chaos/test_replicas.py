"""Two replicas behind a round robin: as one, and through a rolling restart."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import pytest
from redis import Redis

from tests.chaos.balancer import Balancer
from tests.chaos.conftest import Length
from tests.chaos.history import assert_refused_politely, check
from tests.chaos.load import Load, Manner, tell_of_all
from tests.chaos.plant import plant_of
from tests.chaos.seen import Row, row_of
from tests.system.processes import RedisServer, Service

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

DRAIN_SECONDS: Final = 1.5  # longer than the balancer takes to notice, on a loaded machine too
EXIT_SECONDS: Final = 20  # patience for a loaded machine
CHECK_SECONDS: Final = 1.0  # until the balancer has noticed that a replica is back
PATIENCE_MS: Final = 200.0  # about what the service waits for one command
SMALL: Final = Manner(points_per_second=500, senders=8, points_each=1)
MANY: Final = Manner(points_per_second=1_000, senders=32, points_each=1)  # as many requests


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
            Service(bundle_folder, folder / name, redis_url=server.url, drain_seconds=DRAIN_SECONDS)
            for name in ("one", "other")
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
    assert load.history.unanswered == []
    assert_refused_politely(load.history.refused)
    assert load.history.repeated == 0 or load.history.refused
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
    plant = plant_of(32, points=500 + 800 * rounds, prefix="rolling-")
    manner = MANY if length.is_full else SMALL
    with Load(balancer.port, plant, manner) as load, SlowFlushes(server) as slow:
        for replica in replicas * rounds:
            load.until_acknowledged(20)
            start = time.monotonic()
            replica.terminate()
            assert replica.process.wait(EXIT_SECONDS) == 0, replica.log
            exits.append(time.monotonic() - start)
            replica.start()
            time.sleep(CHECK_SECONDS)
        load.until_acknowledged(20)
    assert load.history.unanswered == []
    assert load.history.refused == [] or slow.longest_ms > PATIENCE_MS, "no request failed"
    checked = check(load.history, plant, bundle_folder, url=balancer.url, redis_url=server.url)
    more = {"exit_seconds_max": round(max(exits), 2), "flush_ms_max": slow.longest_ms}
    seen.append(row_of("rolling restart", load.history, checked, faults=2 * rounds, more=more))


class SlowFlushes:
    """How long Redis took for its slowest write to disk: a slow disk is no fault of a restart."""

    def __init__(self, server: RedisServer) -> None:
        self._client = Redis.from_url(server.url)
        self.longest_ms = 0.0

    def __enter__(self) -> Self:
        self._client.config_set("latency-monitor-threshold", 50)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._client:
            events: Any = self._client.execute_command("LATENCY LATEST")  # type: ignore[no-untyped-call]
        self.longest_ms = max((float(longest_ms) for *_, longest_ms in events), default=0.0)
