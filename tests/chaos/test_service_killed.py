"""Kill -9 of the service at random points under load."""

import random
import time
from pathlib import Path

import pytest

from tests.chaos.conftest import Length
from tests.chaos.history import assert_refused_politely, check
from tests.chaos.load import Load, tell_of_all
from tests.chaos.plant import plant_of
from tests.chaos.seen import Row, row_of
from tests.system.processes import RedisServer, Service

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


def test_a_killed_service_loses_nothing_it_acknowledged(
    bundle_folder: Path, tmp_path: Path, redis_server: RedisServer, length: Length, seen: list[Row]
) -> None:
    kills, choice, returns = length.of(2, full=10), random.Random(1), list[float]()
    plant = plant_of(32, points=400 + 150 * kills)
    with Service(bundle_folder, tmp_path, redis_url=redis_server.url, drain_seconds=0) as service:
        tell_of_all(service.url)
        with Load(service.port, plant) as load:
            for _ in range(kills):
                time.sleep(choice.uniform(0.4, 1.2))
                service.kill()
                service.start()
                returns.append(time.monotonic())
                load.until_acknowledged(20)
        where = {"url": service.url, "redis_url": service.redis_url}
        checked = check(load.history, plant, bundle_folder, **where)
    history = load.history
    assert len(history.unanswered) >= kills, "the kills were noticed"
    assert_refused_politely(history.refused)
    more = {"kept_unacknowledged": float(history.repeated)}
    seen.append(
        row_of("service killed", history, checked, faults=kills, returns=returns, more=more)
    )
