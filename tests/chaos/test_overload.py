"""Several times the points that the service can take: refused politely, and at no cost later."""

import time
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from tests.chaos.conftest import Length
from tests.chaos.history import assert_refused_politely, check
from tests.chaos.load import Caller, Load, Manner, tell_of_all
from tests.chaos.plant import plant_of
from tests.chaos.seen import Row, row_of
from tests.system.processes import RedisServer, Service

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

QUEUED_POINTS: Final = 1_000
FLOOD: Final = Manner(points_per_second=1e9, senders=16, points_each=64, drops=True)
GROWTH: Final = 1.1  # of memory, from the first part of the overload to its end
SPARE_BYTES: Final = 16 * 2**20  # that an allocator may keep


def test_what_is_too_much_is_refused_and_what_is_accepted_is_scored(
    bundle_folder: Path, tmp_path: Path, redis_server: RedisServer, length: Length, seen: list[Row]
) -> None:
    seconds, plant = length.of(5, full=60), plant_of(64, points=length.of(25_000, full=120_000))
    limits = {"max_queued_points": QUEUED_POINTS, "drain_seconds": 0}
    with Service(bundle_folder, tmp_path, redis_url=redis_server.url, **limits) as service:
        tell_of_all(service.url)
        with Load(service.port, plant, FLOOD) as load:
            time.sleep(0.4 * seconds)
            before_bytes = resident_bytes(service)
            time.sleep(0.6 * seconds)
            after_bytes = resident_bytes(service)
        history, over = load.history, time.monotonic()
        with Caller(service.port, history) as caller:
            newest = [plant.point(name, plant.points - 1) for name in plant.series]
            caller.post_until_acknowledged(newest)
        where = {"url": service.url, "redis_url": redis_server.url}
        checked = check(history, plant, bundle_folder, **where)
    assert history.unanswered == []
    assert history.refused
    assert_refused_politely(history.refused)
    assert after_bytes < GROWTH * before_bytes + SPARE_BYTES
    refused_ms = [1_000 * attempt.seconds for attempt in history.refused]
    more = {
        "store_unavailable": sum("store_un" in (one.detail or "") for one in history.refused),
        "refused_ms_p50": round(float(np.percentile(refused_ms, 50)), 1),
        "refused_ms_p99": round(float(np.percentile(refused_ms, 99)), 1),
        "resident_mib_before": round(before_bytes / 2**20),
        "resident_mib_after": round(after_bytes / 2**20),
    }
    seen.append(row_of("overload", history, checked, faults=1, returns=[over], more=more))


def resident_bytes(service: Service) -> int:
    status = Path(f"/proc/{service.process.pid}/status").read_text()
    line = next(one for one in status.splitlines() if one.startswith("VmRSS"))
    return 1024 * int(line.split()[1])
