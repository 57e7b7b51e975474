"""Redis is there and does not answer: replies swallowed, SIGSTOP, a black hole."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.chaos.conftest import Length
from tests.chaos.history import Checked, History, assert_refused_politely, check
from tests.chaos.load import Load, tell_of_all
from tests.chaos.plant import Plant, plant_of
from tests.chaos.proxy import Proxy
from tests.chaos.seen import Row, row_of
from tests.chaos.test_overload import resident_bytes
from tests.system.processes import RedisServer, Service, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

UNREADY_SECONDS: Final = 2.0  # promised
GROWTH_BYTES: Final = 50 * 2**20
LOADED: Final = 3.0  # a loaded machine may take so many times as long


@dataclass(frozen=True)
class Scene:
    """A service, its Redis behind a proxy; each test has entities of its own."""

    service: Service
    server: RedisServer
    proxy: Proxy


@pytest.fixture(scope="module")
def scene(bundle_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("unreachable")
    with (
        RedisServer(folder / "redis") as server,
        Proxy(server.port, seed=3) as proxy,
        Service(bundle_folder, folder, redis_url=proxy.url, drain_seconds=0) as service,
    ):
        tell_of_all(service.url)
        yield Scene(service, server, proxy)


def test_swallowed_replies_change_nothing(
    bundle_folder: Path, scene: Scene, length: Length, seen: list[Row]
) -> None:
    seconds, before = length.of(5, full=60), scene.proxy.swallowed
    plant = plant_of(32, points=400 + 75 * seconds)
    with Load(scene.service.port, plant) as load:
        scene.proxy.swallowed_share = 0.01
        time.sleep(seconds)
        until(lambda: scene.proxy.swallowed > before, "a swallowed reply")
        scene.proxy.swallowed_share = 0.0
        returned = time.monotonic()
        load.until_acknowledged(20)
    swallowed = scene.proxy.swallowed - before
    checked = checked_as_undisturbed(load.history, plant, bundle_folder, scene)
    seen.append(row("1 % of replies swallowed", load.history, checked, swallowed, returned))


@pytest.mark.parametrize("fault", ["stopped", "black hole"])
def test_a_redis_that_says_nothing_is_a_503_and_then_all_is_as_if_undisturbed(
    bundle_folder: Path, scene: Scene, length: Length, seen: list[Row], fault: str
) -> None:
    seconds = length.of(2, full=20 if fault == "stopped" else 60)
    plant, status = plant_of(32, points=1_500, prefix=f"{fault} "), scene.service.status
    before_bytes = resident_bytes(scene.service)
    with Load(scene.service.port, plant) as load:
        load.until_acknowledged(20)
        with unreachable(fault, scene):
            gone = time.monotonic()
            until(lambda: status("/readyz") == 503, "/readyz to be 503")
            unready_seconds = time.monotonic() - gone
            until(lambda: load.history.refused, "a refusal")
            while time.monotonic() < gone + seconds:
                assert status("/livez") == 200
                assert status("/readyz") == 503
                time.sleep(0.2)
        returned = time.monotonic()
        until(lambda: status("/readyz") == 200, "/readyz to be 200 again")
        ready_seconds = time.monotonic() - returned
        load.until_acknowledged(20)
    checked = checked_as_undisturbed(load.history, plant, bundle_folder, scene)
    grown_bytes = resident_bytes(scene.service) - before_bytes
    assert grown_bytes < GROWTH_BYTES
    assert unready_seconds < UNREADY_SECONDS * LOADED
    found = row(f"Redis {fault}", load.history, checked, 1, returned)
    found.more["unready_seconds"] = round(unready_seconds, 2)
    found.more["ready_again_seconds"] = round(ready_seconds, 2)
    found.more["grown_mib"] = round(grown_bytes / 2**20, 1)
    seen.append(found)


@contextmanager
def unreachable(fault: str, scene: Scene) -> Iterator[None]:
    scene.proxy.is_black_hole = fault == "black hole"
    if fault == "stopped":
        scene.server.freeze()
    try:
        yield
    finally:
        scene.proxy.is_black_hole = False
        scene.server.thaw()


def checked_as_undisturbed(history: History, plant: Plant, bundles: Path, scene: Scene) -> Checked:
    assert history.unanswered == [], "every request was answered"
    assert_refused_politely(history.refused)
    return check(history, plant, bundles, url=scene.service.url, redis_url=scene.server.url)


def row(fault: str, history: History, checked: Checked, faults: int, returned: float) -> Row:
    refused_ms = 1_000 * max((one.seconds for one in history.refused), default=0.0)
    more = {"refused_ms_max": round(refused_ms), "kept_unacknowledged": float(history.repeated)}
    return row_of(fault, history, checked, faults=faults, returns=[returned], more=more)
