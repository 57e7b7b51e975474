"""One undisturbed run, with which every disturbed one is compared."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.system.processes import RedisServer, Service
from tests.system.replays import (
    SERIES,
    Run,
    alert_log,
    client_of,
    interleaved,
    post_until_acknowledged,
    requests_of,
)
from tests.system.subscribers import Subscriber, now_and_then


@dataclass(frozen=True)
class Undisturbed:
    """What one service answered and told when nothing went wrong."""

    run: Run
    alerts: dict[str, list[bytes]]
    live: Subscriber
    cut_off: Subscriber


@pytest.fixture(scope="session")
def undisturbed(bundle_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """Requests of odd sizes over both entities, heard by two subscribers from the start."""
    run = Run()
    with (
        Service(bundle_folder, tmp_path_factory.mktemp("undisturbed")) as service,
        Subscriber(service) as live,
        Subscriber(service, is_cut=now_and_then(1)) as cut_off,
        client_of(service) as client,
    ):
        for request in requests_of(interleaved(SERIES), seed=11, largest=61):
            post_until_acknowledged(client, request, run)
        alerts = alert_log(service.redis_url)
        count = sum(map(len, alerts.values()))
        live.until(count)
        cut_off.until(count)
    return Undisturbed(run, alerts, live, cut_off)


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path / "redis") as server:
        yield server
