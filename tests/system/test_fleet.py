"""The fleet as a page sees it: from the first replica, the second, and after a kill."""

import base64
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from service.stream.fleet.cells import ANOMALY, CELLS
from tests.system.processes import RedisServer, Service, until
from tests.system.replays import SERIES, Run, client_of, interleaved, post_until_acknowledged

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.fixture
def replicas(
    bundle_folder: Path, tmp_path: Path, redis_server: RedisServer
) -> Iterator[list[Service]]:
    with ExitStack() as stack:
        yield [
            stack.enter_context(Service(bundle_folder, tmp_path / name, redis_url=redis_server.url))
            for name in ("one", "other")
        ]


def entities(service: Service) -> dict[str, dict[str, Any]]:
    """Columns by entity, of an hour, without the time at which the replica heard of it."""
    with client_of(service) as client:
        columns = client.get("/v1/fleet").json()["entities"]
    del columns["seen_ms"]
    cells = base64.b64decode(columns.pop("cells"))
    columns["cells"] = [cells[at : at + CELLS] for at in range(0, len(cells), CELLS)]
    return {
        name: {key: column[at] for key, column in columns.items()}
        for at, name in enumerate(columns["entity"])
    }


def test_both_replicas_and_a_later_start_show_the_same_fleet(replicas: list[Service]) -> None:
    one, other = replicas
    run, points = Run(), interleaved(SERIES)[:300]
    with client_of(one) as client:
        for start in range(0, len(points), 100):
            post_until_acknowledged(client, points[start : start + 100], run)
    newest = {point.entity: point.timestamp_ms for point in points}

    def is_complete() -> bool:
        shown = entities(one)
        return all(shown.get(name, {}).get("timestamp_ms") == newest[name] for name in newest)

    until(is_complete, "the board to hear of every point")
    before = entities(one)
    assert before.keys() == newest.keys()
    assert any(max(own["cells"]) > ANOMALY for own in before.values())
    assert entities(other) == before
    os.kill(one.process.pid, signal.SIGKILL)
    one.process.wait()
    one.start()
    assert entities(one) == before
