"""Points that overtake each other, come twice, or too late, under a lateness policy."""

import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import httpx2
import msgspec
import pytest

from service.scoring.bundle import load_bundle
from service.scoring.fold import Fold
from service.scoring.offline import score_series
from service.stream.messages import Point, Row as Kept
from tests.chaos.conftest import Length
from tests.chaos.history import (
    KINDS,
    ROWS,
    Checked,
    History,
    Seen,
    assert_refused_politely,
    assert_told_once,
    bits,
    entity_view,
)
from tests.chaos.load import CALIBRATING_TOO, Caller
from tests.chaos.plant import Plant, plant_of
from tests.chaos.seen import Row, row_of
from tests.system.processes import RedisServer, Service, until
from tests.system.replays import alert_log

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

PERIOD_MS: Final = 400
BOUND_POINTS: Final = 10
POLICIES: Final = {
    "default": {
        **CALIBRATING_TOO["default"],
        "lateness_seconds": BOUND_POINTS * PERIOD_MS / 1000,
    }
}
AT_ARRIVAL: Final = {"warming", "calibrating", "scored"}  # where nothing earlier can come
IN_TIME: Final = {"held", *AT_ARRIVAL}
AT_ONCE: Final = 5  # points of each entity, in a request


def test_disorder_inside_the_bound_changes_no_score(
    bundle_folder: Path, tmp_path: Path, redis_server: RedisServer, length: Length, seen: list[Row]
) -> None:
    plant = plant_of(6, points=length.of(200, full=2_000), period_ms=PERIOD_MS)
    sent = {name: list(disordered(plant, name)) for name in plant.series}
    answers, kept, history = list[Seen](), dict[tuple[str, int], Kept](), History()
    with (
        Service(bundle_folder, tmp_path, redis_url=redis_server.url) as service,
        Caller(service.port, history) as caller,
        httpx2.Client(base_url=service.url) as client,
    ):
        client.put("/v1/policies", json=POLICIES).raise_for_status()
        for number, request in enumerate(requests_of(sent)):
            answers += caller.post_until_answered(request)
            if number % (ROWS // AT_ONCE // 2) == ROWS // AT_ONCE // 2 - 1:
                look(client, plant, kept)
        assert history.unanswered == []
        assert_refused_politely(history.refused)
        known = {(one.entity, one.timestamp_ms) for one in answers} - late_ones(answers, plant)
        until(lambda: points_kept(client, plant) == len(known), "the last ones to be scored")
        look(client, plant, kept)
        time.sleep(0.1)  # what is counted after the answer
        page = client.get("/metrics").text
    assert kept.keys() == known
    counts = Counter(one.status for one in answers)
    assert counts.keys() == AT_ARRIVAL | {"held", "duplicate", "late"}
    assert counters(page, "gaugewatch_points_total") == counts
    released = counters(page, "gaugewatch_released_points_total")
    scored = released.total() + sum(counts[name] for name in AT_ARRIVAL)
    assert scored == len(known) or history.refused  # then a repeat may be the first answer
    alerts = assert_as_sorted(plant, bundle_folder, kept, redis_url=redis_server.url)
    checked = Checked(len(known), 0, alerts)
    more = {name: float(count) for name, count in counts.items()}
    faults = sum(counts[status] for status in ("duplicate", "late"))
    seen.append(row_of("out of order", history, checked, faults=faults, more=more))


def disordered(plant: Plant, name: str) -> Iterator[Point]:
    """A fifth of the points come later than their neighbours, some twice, some too late."""
    choice, arrivals = random.Random(name), list[tuple[float, int]]()
    for position in range(plant.points):
        fate = choice.random()
        if fate < 0.05:
            delay = choice.uniform(3, 6) * BOUND_POINTS
        elif fate < 0.25:
            delay = choice.uniform(1, BOUND_POINTS - 1)
        else:
            delay = 0.0
        arrivals.append((position + delay, position))
        if choice.random() < 0.05:
            arrivals.append((position + delay + choice.uniform(0, BOUND_POINTS), position))
    for _, position in sorted(arrivals):
        yield plant.point(name, position)


def requests_of(sent: dict[str, list[Point]]) -> Iterator[list[Point]]:
    for start in range(0, max(map(len, sent.values())), AT_ONCE):
        yield [point for points in sent.values() for point in points[start : start + AT_ONCE]]


def look(client: httpx2.Client, plant: Plant, kept: dict[tuple[str, int], Kept]) -> None:
    """Note the rows that are kept; those noted before are the same."""
    for name in plant.series:
        for row in entity_view(client, name).window:
            noted = kept.setdefault((name, row.timestamp_ms), row)
            assert msgspec.json.encode(noted) == msgspec.json.encode(row)


def points_kept(client: httpx2.Client, plant: Plant) -> int:
    return sum(entity_view(client, name).points for name in plant.series)


def late_ones(answers: Sequence[Seen], plant: Plant) -> set[tuple[str, int]]:
    """Points that came too late and never in time: about those that were meant to be."""
    found = {(one.entity, one.timestamp_ms) for one in answers if one.status == "late"}
    in_time = {(one.entity, one.timestamp_ms) for one in answers if one.status in IN_TIME}
    assert 0.02 < len(found - in_time) / (plant.points * len(plant.series)) < 0.08
    return found - in_time


def assert_as_sorted(
    plant: Plant, bundles: Path, kept: dict[tuple[str, int], Kept], *, redis_url: str
) -> int:
    """Scores and alerts are those of the same points in order of time; how many alerts."""
    times = {
        name: sorted(time_ms for entity, time_ms in kept if entity == name) for name in plant.series
    }
    series = [plant.chosen(name, times[name]) for name in plant.series]
    offline, told = score_series(Fold(load_bundle(bundles / "tiny")), series), set()
    for one, scored in zip(series, offline, strict=True):
        found = bits([kept[one.entity, time_ms].score for time_ms in times[one.entity]])
        assert found.tobytes() == scored.score.tobytes(), one.entity
        told |= {
            (one.entity, KINDS[each.transition], int(one.timestamps_ms[each.row]))
            for each in scored.told
        }
    return assert_told_once(alert_log(redis_url), plant.series, told)


def counters(page: str, name: str) -> Counter[str]:
    """Values of a counter by its label `status`, those above 0."""
    found = Counter[str]()
    for line in page.splitlines():
        if line.startswith(f'{name}{{status="'):
            found[line.split('"')[1]] += int(float(line.rsplit(" ", 1)[1]))
    return +found
