"""Kill -9 of Redis and of Valkey under load, with the shipped configuration `always`."""

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

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def test_a_killed_redis_has_all_that_was_acknowledged(
    bundle_folder: Path, tmp_path: Path, server_binary: Path, length: Length, seen: list[Row]
) -> None:
    kills, choice, returns = length.of(3, full=30), random.Random(2), list[float]()
    plant = plant_of(32, points=400 + 100 * kills)
    with (
        RedisServer(tmp_path / "redis", binary=server_binary) as server,
        Service(bundle_folder, tmp_path, redis_url=server.url, drain_seconds=0) as service,
    ):
        tell_of_all(service.url)
        with Load(service.port, plant) as load:
            for _ in range(kills):
                time.sleep(choice.uniform(0.2, 0.8))
                server.kill()
                time.sleep(choice.uniform(0.0, 0.4))
                server.start()
                returns.append(time.monotonic())
                load.until_acknowledged(20)
        checked = check(load.history, plant, bundle_folder, url=service.url, redis_url=server.url)
    assert load.history.unanswered == [], "every request was answered"
    assert_refused_politely(load.history.refused)
    more = {"kept_unacknowledged": float(load.history.repeated)}
    name = f"{server_binary.name} killed"
    seen.append(row_of(name, load.history, checked, faults=kills, returns=returns, more=more))
