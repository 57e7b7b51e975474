"""Alert sockets: killed at random while alerts flow, and one that never reads among others."""

import random
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import pytest

from service.stream.messages import Alert
from tests.chaos.conftest import Length
from tests.chaos.history import History, check
from tests.chaos.load import Load, Manner, tell_of_all
from tests.chaos.plant import plant_of
from tests.chaos.seen import Row, row_of
from tests.system.processes import RedisServer, Service, until
from tests.system.replays import alert_log, by_entity
from tests.system.subscribers import Subscriber
from tests.system.test_shutdown import deaf, fill_alert_log

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

READERS: Final = 49  # and one that never reads
CLOSED_SECONDS: Final = 5.0  # promised
LOADED: Final = 3.0  # a loaded machine may take so many times as long
FEW: Final = Manner(points_per_second=500, points_each=4)
STRANGER: Final = "e"  # entity of the alerts that only fill the log
MANNER: Final = Manner(points_each=4)


def test_a_socket_killed_again_and_again_misses_nothing(
    bundle_folder: Path, tmp_path: Path, redis_server: RedisServer, length: Length, seen: list[Row]
) -> None:
    kills, alerts = length.of(10, full=100), length.of(200, full=10_000)
    plant, cuts = plant_of(64, points=300 + alerts), Cuts(7, one_in=length.of(15, full=90))
    with (
        Service(bundle_folder, tmp_path, redis_url=redis_server.url, drain_seconds=0) as service,
        Subscriber(service) as live,
        Subscriber(service, is_cut=cuts) as killed,
    ):
        tell_of_all(service.url)
        with Load(service.port, plant, MANNER) as load:
            until(lambda: cuts.made >= kills, f"{kills} kills", seconds=200)
            until(lambda: len(live.alerts) >= alerts, f"{alerts} alerts", seconds=200)
        where = {"url": service.url, "redis_url": redis_server.url}
        checked = check(load.history, plant, bundle_folder, **where)
        log = alert_log(redis_server.url)
        for subscriber in (live, killed):
            subscriber.until(checked.alerts)
            assert by_entity(subscriber.alerts) == log
            assert subscriber.gaps == []
    assert live.connections == 1
    assert killed.connections > kills
    seen.append(row_of("websocket killed", load.history, checked, faults=cuts.made))


def test_a_subscriber_that_never_reads_is_closed_and_the_others_miss_nothing(
    bundle_folder: Path, tmp_path: Path, redis_server: RedisServer, length: Length, seen: list[Row]
) -> None:
    fill_alert_log(redis_server.url)
    plant, seconds = plant_of(32, points=1_500), length.of(4, full=20)
    with (
        Service(bundle_folder, tmp_path, redis_url=redis_server.url, drain_seconds=0) as service,
        ExitStack() as stack,
    ):
        tell_of_all(service.url)
        readers = [stack.enter_context(Subscriber(service)) for _ in range(READERS)]
        with Load(service.port, plant, FEW) as load:
            time.sleep(seconds)
            with deaf(service.port):
                until(lambda: subscribers(service) == READERS + 1, "the deaf one to subscribe")
                joined = time.monotonic()
                until(lambda: subscribers(service) == READERS, "the deaf one to be closed")
                closed = time.monotonic()
            load.until_acknowledged(40)
        where = {"url": service.url, "redis_url": redis_server.url}
        checked = check(load.history, plant, bundle_folder, **where)
        log = alert_log(redis_server.url)
        del log[STRANGER]
        for reader in readers:
            reader.until(checked.alerts)
            assert by_entity(reader.alerts) == log
            assert reader.connections == 1
    before, during = (
        1_000 * latency_p99(readers, load.history, since=since, until_=end)
        for since, end in ((0.0, joined), (joined, closed))
    )
    assert closed - joined < CLOSED_SECONDS * LOADED
    more = {
        "closed_seconds": round(closed - joined, 2),
        "alert_ms_p99_before": round(before, 1),
        "alert_ms_p99_with_it": round(during, 1),
    }
    seen.append(row_of("one of 50 never reads", load.history, checked, faults=1, more=more))


def latency_p99(
    readers: Sequence[Subscriber], history: History, *, since: float, until_: float
) -> float:
    """Seconds from the answer to a point to the alert of it, which may come earlier."""
    found = []
    for reader in readers:
        for alert, came in zip(reader.alerts, reader.times, strict=True):
            told = msgspec.json.decode(alert, type=Alert)
            answered = history.answered.get((told.entity, told.timestamp_ms))
            if answered is not None and since < answered < until_:
                found.append(came - answered)
    return float(np.percentile(found, 99))


class Cuts:
    """When a socket is killed: after one in so many alerts, at random."""

    def __init__(self, seed: int, *, one_in: int) -> None:
        self.made = 0
        self._choice, self._one_in = random.Random(seed), one_in

    def __call__(self) -> bool:
        is_cut = self._choice.randrange(self._one_in) == 0
        self.made += is_cut
        return is_cut


def subscribers(service: Service) -> int:
    page = service.get("/metrics")
    line = next(one for one in page.splitlines() if one.startswith("gaugewatch_subscribers "))
    return int(float(line.split()[1]))
