"""Points that come out of order, inside a bound: held, durable, released, flushed."""

import random
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from redis import Redis

from service.scoring.fold import Fold
from service.scoring.offline import score_series
from service.stream.configuration import Configuration
from service.stream.hearing import Listeners
from service.stream.ingest import Ingest
from service.stream.keys import alert_stream_key
from service.stream.messages import Alert, Point, Verdict
from service.stream.models import Models
from service.stream.policy import Policies, Policy
from service.stream.reader import ALERT_KINDS
from service.stream.store import Store, StoreOptions
from tests.builders import PERIOD_MS, START_MS, series_like

SHARDS = 2
BOUND_PERIODS = 4


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now_ms = START_MS

    def __call__(self) -> int:
        return self.now_ms


class Told:
    """What no request was answered."""

    def __init__(self) -> None:
        self.verdicts: list[Verdict] = []
        self.alerts: list[Alert] = []

    def __call__(self, verdicts: Any, alerts: Any) -> None:
        self.verdicts += verdicts
        self.alerts += [msgspec.json.decode(alert, type=Alert) for alert in alerts]


@pytest.fixture
def store(redis_url: str) -> Iterator[Store]:
    options = StoreOptions(durability="everysec", shards=SHARDS)
    with closing(Store(redis_url, options)) as store:
        store.check()
        yield store


@pytest.fixture
def patient(bundle_folder: Path) -> Models:
    """Models under a policy by which points wait for earlier ones."""
    seconds = BOUND_PERIODS * PERIOD_MS / 1000
    return with_policies(bundle_folder, Policies(default=Policy(lateness_seconds=seconds)))


def with_policies(folder: Path, policies: Policies) -> Models:
    models = Models(folder, default="tiny")
    known: Configuration = models.serving.configuration
    models.adopt(models.serving.epoch, known.with_policies(policies))
    return models


def points_like(entity: str, count: int, *, fault_from: int | None = None) -> list[Point]:
    series = series_like(entity, count)
    if fault_from is not None:
        series.values[fault_from : fault_from + 8, 1] += 5.0
    rows = zip(series.timestamps_ms.tolist(), series.values.tolist(), strict=True)
    return [Point(entity, time, values) for time, values in rows]


def disordered(points: list[Point], *, by: int, seed: int) -> list[Point]:
    """The same points, none more than `by` places late."""
    order = random.Random(seed)
    return sorted(points, key=lambda point: point.timestamp_ms + order.random() * by * PERIOD_MS)


async def test_points_in_any_order_are_scored_as_if_they_had_come_in_order(
    store: Store, patient: Models, fold: Fold
) -> None:
    points = points_like("alpha", 90, fault_from=60)
    told, clock = Told(), Clock()
    async with Ingest(store, patient, listeners=Listeners(on_told=told), clock_ms=clock) as ingest:
        answered = []
        for point in disordered(points, by=BOUND_PERIODS, seed=3):
            answered += await ingest.submit([point])
        assert {verdict.status for verdict in answered} == {"held"}
        clock.now_ms += BOUND_PERIODS * PERIOD_MS
        await ingest.tick()
        view = await ingest.entity("alpha", rows=40)
    series = series_like("alpha", 90)
    series.values[60:68, 1] += 5.0
    (scored,) = score_series(fold, [series])
    assert [verdict.timestamp_ms for verdict in told.verdicts] == series.timestamps_ms.tolist()
    found = [np.nan if v.score is None else v.score for v in told.verdicts]
    assert np.array(found).tobytes() == scored.score.tobytes()
    assert view.points == len(points)
    assert [alert.kind for alert in told.alerts] == [
        ALERT_KINDS[one.transition] for one in scored.told
    ]


async def test_what_waits_survives_a_restart_and_moves_to_another_replica(
    store: Store, patient: Models
) -> None:
    points, clock, told = points_like("alpha", 40), Clock(), Told()
    async with Ingest(store, patient, clock_ms=clock) as first:
        verdicts = await first.submit(points[:38])
        assert [verdict.status for verdict in verdicts].count("held") == BOUND_PERIODS
        (last,) = await first.submit([points[39]])
        assert last.status == "held"
    async with Ingest(
        store.twin(), patient, listeners=Listeners(on_told=told), clock_ms=clock
    ) as second:
        (late,) = await second.submit([points[38]])
        assert late.status == "held"
        clock.now_ms += BOUND_PERIODS * PERIOD_MS
        await second.tick()
        view = await second.entity("alpha", rows=100)
    assert [row.timestamp_ms for row in view.window] == [p.timestamp_ms for p in points]


async def test_a_held_point_that_comes_again_is_held_and_another_one_conflicts(
    store: Store, patient: Models
) -> None:
    points = points_like("alpha", 30)
    other = msgspec.structs.replace(points[29], values=[0.0] * 4)
    async with Ingest(store, patient) as ingest:
        await ingest.submit(points)
        again, conflict, scored, late = await ingest.submit(
            [points[29], other, points[5], msgspec.structs.replace(points[0], timestamp_ms=1)]
        )
    assert (again.status, again.reason) == ("held", "earlier_may_come")
    assert (conflict.status, conflict.reason) == ("conflict", "first_values_win")
    assert scored.status == "duplicate"
    assert (late.status, late.reason) == ("late", "older_than_newest")


async def test_a_bound_that_is_lifted_lets_everything_go_on(
    store: Store, patient: Models, bundle_folder: Path
) -> None:
    points = points_like("alpha", 30)
    async with Ingest(store, patient) as ingest:
        await ingest.submit(points[:29])
    told = Told()
    models = with_policies(bundle_folder, Policies())
    async with Ingest(store, models, listeners=Listeners(on_told=told)) as ingest:
        (last,) = await ingest.submit(points[29:])
        assert last.status == "scored"
        view = await ingest.entity("alpha", rows=100)
    assert [v.timestamp_ms for v in told.verdicts] == [p.timestamp_ms for p in points[25:29]]
    assert view.points == 30


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**6), size=st.integers(1, 9))
async def test_whatever_the_order_nothing_is_lost(
    store: Store, patient: Models, seed: int, size: int
) -> None:
    """Beyond the bound some are late; every one is told what became of it."""
    entity = "beta"
    store.delete([entity])
    points, told, clock = points_like(entity, 50), Told(), Clock()
    came = disordered(points, by=2 * BOUND_PERIODS, seed=seed)
    async with Ingest(store, patient, listeners=Listeners(on_told=told), clock_ms=clock) as ingest:
        answered = []
        for start in range(0, len(came), size):
            answered += await ingest.submit(came[start : start + size])
        clock.now_ms += BOUND_PERIODS * PERIOD_MS
        await ingest.tick()
        view = await ingest.entity(entity, rows=100)
    statuses = [verdict.status for verdict in answered]
    held, late = statuses.count("held"), statuses.count("late")
    now = len(statuses) - held - late
    assert held == len(told.verdicts)
    assert view.points == held + now
    assert now + held + late == len(points)


async def test_a_backfill_alerts_nobody_waits_for_nothing_and_keeps_its_incidents(
    store: Store, patient: Models, redis_url: str
) -> None:
    points, told = points_like("alpha", 90, fault_from=60), Told()
    async with Ingest(store, patient, listeners=Listeners(on_told=told)) as ingest:
        verdicts = await ingest.submit(points[:80], is_backfill=True)
        assert "held" not in {verdict.status for verdict in verdicts}
        assert {"opened", "resolved"} <= {verdict.transition for verdict in verdicts}
        with Redis.from_url(redis_url) as client:
            assert [client.xlen(alert_stream_key(shard)) for shard in range(SHARDS)] == [0, 0]
            kept: Any = [client.keys(f"gw:{{{shard}}}:i:*") for shard in range(SHARDS)]
        assert sum(map(len, kept)) >= 1
        assert told.alerts == []
        (live,) = await ingest.submit(points[80:81])
        assert live.status == "held"
