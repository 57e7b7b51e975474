"""Alert sockets: killed at random while alerts flow, and one that never reads among others."""

import random
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest

from tests.chaos.conftest import Length
from tests.chaos.history import check
from tests.chaos.load import Load, Manner, tell_of_all
from tests.chaos.plant import plant_of
from tests.chaos.seen import Row, row_of
from tests.system.processes import RedisServer, Service, until
from tests.system.replays import alert_log, by_entity
from tests.system.subscribers import Subscriber
from tests.system.test_shutdown import deaf, fill_alert_log

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

READERS: Final = 5
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
    plant = plant_of(32, points=1_500)
    with (
        Service(
            bundle_folder, tmp_path, redis_url=redis_server.url, drain_seconds=0, send_seconds=1
        ) as service,
        ExitStack() as stack,
    ):
        tell_of_all(service.url)
        readers = [stack.enter_context(Subscriber(service)) for _ in range(READERS)]
        with Load(service.port, plant) as load, deaf(service.port):
            until(lambda: subscribers(service) == READERS + 1, "the deaf one to be a subscriber")
            until(lambda: subscribers(service) == READERS, "the deaf one to be closed")
            load.until_acknowledged(40)
        where = {"url": service.url, "redis_url": redis_server.url}
        checked = check(load.history, plant, bundle_folder, **where)
        log = alert_log(redis_server.url)
        del log[STRANGER]
        for reader in readers:
            reader.until(checked.alerts)
            assert by_entity(reader.alerts) == log
            assert reader.connections == 1
    seen.append(row_of("one that never reads", load.history, checked, faults=1))


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
