"""What came of the promise, on the page of metrics."""

import asyncio
import time
from collections.abc import Iterator
from itertools import count
from math import isnan
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.metrics_core import Metric
from starlette.testclient import TestClient

from service.errors import StoreUnavailable
from service.settings import Settings
from service.stream.desk import Desk
from service.stream.promise import ModelPromise
from service.web.app import create_app
from service.web.observed import Observed
from tests.builders import NEED, PERIOD_MS
from tests.system.processes import RedisServer
from tests.web.serving import HOME, settings_for
from tests.web.test_metrics import series, value
from tests.web.test_points import rows

COUNT = 40
MODEL = "fleet/0f3c9a1b2d4e"
FAMILIES = (
    "gaugewatch_observed_false_incidents_per_entity_day",
    "gaugewatch_unrefuted_incidents_per_entity_day",
    "gaugewatch_entity_seconds",
    "gaugewatch_labelled_incidents",
)


def promise(
    *, entity_days: float | None, labelled_false: int = 0, unlabelled: int = 0
) -> ModelPromise:
    return ModelPromise(
        model=MODEL,
        promised=2.0,
        entity_days=entity_days,
        incidents=labelled_false + unlabelled + 2,
        labelled_true=1,
        labelled_false=labelled_false,
        labelled_new_normal=1,
        unlabelled=unlabelled,
        false_rate=labelled_false / entity_days if entity_days else None,
        at_most=(labelled_false + unlabelled + 1) / entity_days if entity_days else None,
        is_complete=True,
    )


class Reports:
    """Answers in their order; an error is raised."""

    def __init__(self, *answers: list[ModelPromise] | Exception) -> None:
        self._answers = list(answers)

    def __call__(self) -> list[ModelPromise]:
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def shown(observed: Observed) -> dict[str, dict[tuple[str, ...], float]]:
    return {family.name: numbers(family) for family in observed.families()}


def numbers(family: Metric) -> dict[tuple[str, ...], float]:
    return {tuple(sample.labels.values()): sample.value for sample in family.samples}


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk("test")
    yield desk
    desk.close()


async def test_labels_are_set_against_entity_days(desk: Desk) -> None:
    report = [promise(entity_days=4.0, labelled_false=6, unlabelled=3)]
    observed = Observed(Reports(report), desk)
    await observed.refresh()
    found = shown(observed)
    assert set(found) == set(FAMILIES)
    assert found[FAMILIES[0]] == {(MODEL,): 1.5}
    assert found[FAMILIES[1]] == {(MODEL,): 2.5}
    assert found[FAMILIES[2]] == {(MODEL,): 4 * 86_400}
    by_label = {"true": 1, "false": 6, "new_normal": 1, "none": 3}
    assert found[FAMILIES[3]] == {(MODEL, label): count for label, count in by_label.items()}


async def test_rates_of_nothing_scored_are_not_a_number_and_never_0(desk: Desk) -> None:
    observed = Observed(Reports([promise(entity_days=0.0)]), desk)
    await observed.refresh()
    found = shown(observed)
    assert all(isnan(found[name][MODEL,]) for name in FAMILIES[:2])
    assert found[FAMILIES[2]] == {(MODEL,): 0}


async def test_a_model_of_unknown_period_has_labels_alone(desk: Desk) -> None:
    observed = Observed(Reports([promise(entity_days=None)]), desk)
    await observed.refresh()
    found = shown(observed)
    assert [len(found[name]) for name in FAMILIES] == [0, 0, 0, 4]


@pytest.mark.parametrize("error", [StoreUnavailable("away"), ValueError("a bug")])
async def test_the_last_answer_stays(desk: Desk, error: Exception) -> None:
    first, last = promise(entity_days=1.0), promise(entity_days=2.0)
    observed = Observed(Reports([first], error, [last]), desk)
    days = []
    for _ in range(3):
        await observed.refresh()
        days.append(shown(observed)[FAMILIES[2]][MODEL,] / 86_400)
    assert days == [1, 1, 2]


async def test_it_is_read_again_and_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.web.observed.REFRESH_SECONDS", 0.01)
    loop, is_third = asyncio.get_running_loop(), asyncio.Event()
    days = count(1)

    def read() -> list[ModelPromise]:
        day = next(days)
        if day == 3:
            loop.call_soon_threadsafe(is_third.set)
        return [promise(entity_days=float(day))]

    observed = Observed(read, desk)
    task = asyncio.create_task(observed.follow())
    try:
        await is_third.wait()
        assert shown(observed)[FAMILIES[2]][MODEL,] >= 2 * 86_400
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path / "redis") as redis:
        yield redis


@pytest.fixture
def settings(bundle_folder: Path, tmp_path: Path, redis: RedisServer) -> Settings:
    return settings_for(bundle_folder, tmp_path, redis_url=redis.url)


def recent_rows() -> list[dict[str, Any]]:
    """The last of them is of now."""
    points = rows("alpha", COUNT)
    begin_ms = time.time_ns() // 10**6 - COUNT * PERIOD_MS
    for number, point in enumerate(points):
        point["timestamp_ms"] = begin_ms + number * PERIOD_MS
    points[COUNT // 2]["values"][2] += 50.0
    return points


def test_replicas_say_the_same_of_what_one_of_them_scored(settings: Settings) -> None:
    with TestClient(create_app(settings), base_url=HOME) as client:
        posted = client.post("/v1/points", json={"points": recent_rows()}).json()["verdicts"]
        opened = [one["incident"] for one in posted if one.get("transition") == "opened"]
        assert len(opened) == 1
        client.put(f"/v1/incidents/{opened[0]}/note", json={"label": "false"})
    pages = []
    for _ in range(2):
        with TestClient(create_app(settings), base_url=HOME) as client:
            pages.append(client.get("/metrics").text)
    scored_seconds = (COUNT - NEED + 1) * PERIOD_MS / 1000
    for page in pages:
        assert value(page, "gaugewatch_entity_seconds") == pytest.approx(scored_seconds)
        assert value(page, "gaugewatch_labelled_incidents", label="false") == 1
        assert value(page, "gaugewatch_labelled_incidents") == 1
        rate = 86_400 / scored_seconds
        assert value(page, FAMILIES[0]) == pytest.approx(rate)
        assert value(page, FAMILIES[1]) == pytest.approx(rate)
        (budget,) = series(page, "gaugewatch_false_alarm_budget")
        assert series(page, FAMILIES[0]) == [budget]


def test_a_lost_redis_takes_no_number_away(settings: Settings, redis: RedisServer) -> None:
    with TestClient(create_app(settings), base_url=HOME) as client:
        before = client.get("/metrics").text
        redis.kill()
        after = client.get("/metrics").text
        assert client.get("/v1/promise").status_code == 503
    assert series(before, "gaugewatch_labelled_incidents")
    for name in FAMILIES:
        assert series(after, name) == series(before, name)
