"""Kill -9 of a primary that sentinels watch, under load, with durability `replicated`."""

import time
from itertools import pairwise
from pathlib import Path
from typing import Final

import pytest

from tests.chaos.conftest import Length
from tests.chaos.history import assert_refused_politely, check
from tests.chaos.load import Load, tell_of_all
from tests.chaos.plant import plant_of
from tests.chaos.seen import Row, row_of
from tests.system.processes import Service, until
from tests.system.replays import lost_points
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


def longest_pause(load: Load, *, since: float) -> float:
    """Seconds without an acknowledgement."""
    ends = [since, *(one.ended for one in load.history.accepted if one.ended > since)]
    return max(after - before for before, after in pairwise(ends))
