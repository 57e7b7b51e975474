"""Entities that go over to a bundle which cannot take them over: nothing ends in silence."""

import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from redis import Redis
from structlog.testing import capture_logs

from service.stream.incident_messages import Wanted
from service.stream.incidents import Incidents
from service.stream.ingest import Ingest, Limits
from service.stream.keys import alert_stream_key, deadline_key, entity_keys
from service.stream.messages import Alert, Point
from service.stream.models import Models
from service.stream.policy import Policies, Policy
from service.stream.rollout import Rollout
from service.stream.store import Store, StoreOptions
from tests.builders import PERIOD_MS, another_version, series_like

OPTIONS = StoreOptions(durability="everysec", shards=2)
LIMITS = Limits(silence_periods=10.0)
OTHER_NAMES = ("a", "b", "c", "e")


@pytest.fixture
def folder(tmp_path: Path, bundle_folder: Path) -> Path:
    shutil.copytree(bundle_folder / "tiny", tmp_path / "tiny")
    return tmp_path


@pytest.fixture
def store(redis_url: str) -> Iterator[Store]:
    with closing(Store(redis_url, OPTIONS)) as store:
        store.check()
        yield store


@pytest.fixture
def client(redis_url: str) -> Iterator[Redis]:
    with Redis.from_url(redis_url) as client:
        yield client


def points_like(entity: str, count: int, *, fault_from: int | None = None) -> list[Point]:
    series = series_like(entity, count)
    if fault_from is not None:
        series.values[fault_from:, 1] += 5.0 + np.arange(count - fault_from) % 3
    rows = zip(series.timestamps_ms.tolist(), series.values.tolist(), strict=True)
    return [Point(entity, time, values) for time, values in rows]


def alerts_in(client: Redis) -> list[Alert]:
    streams: list[Any] = [client.xrange(alert_stream_key(shard)) for shard in range(2)]
    entries = [fields for stream in streams for _, fields in stream]
    return [msgspec.json.decode(fields[b"alert"], type=Alert) for fields in entries]


def ended(client: Redis) -> list[tuple[str, str]]:
    return [(a.incident, a.reason) for a in alerts_in(client) if a.kind == "resolved"]


def open_incidents(store: Store) -> list[str]:
    page = Incidents(store).page(Wanted(is_open=True), limit=9, after=None)
    return [one.incident for one in page.incidents]


def wait_over(client: Redis) -> None:
    """Make every deadline pass."""
    for shard in range(2):
        waiting: Any = client.zrange(deadline_key(shard), 0, -1)
        if waiting:
            client.zadd(deadline_key(shard), dict.fromkeys(waiting, 1))


@asynccontextmanager
async def swapping(
    store: Store, folder: Path, policy: Policy, **changes: object
) -> AsyncIterator[tuple[Any, Any]]:
    """An ingest on `tiny`, and what puts its other version in force: by default, of other names."""
    models = Models(folder, default=None)
    renamed = another_version(folder, step=None, **(changes or {"dimensions": OTHER_NAMES}))
    rollout = Rollout(store.twin(), models)
    await rollout.start()
    await rollout.change(lambda known: known.with_policies(Policies(default=policy)))
    async with Ingest(store, models, limits=LIMITS) as ingest:
        yield ingest, lambda: rollout.change(lambda known: known.activated("tiny", renamed))


async def test_an_open_incident_is_told_to_end_once_with_the_next_point_of_other_dimensions(
    store: Store, folder: Path, client: Redis
) -> None:
    points = points_like("alpha", 60, fault_from=55)
    async with swapping(store, folder, Policy()) as (ingest, swap):
        *_, last = await ingest.submit(points[:57])
        assert open_incidents(store) == [last.incident]
        await swap()
        assert ended(client) == []
        for point in points[57:]:
            await ingest.submit([point])
    assert ended(client) == [(last.incident, "abandoned")]
    assert open_incidents(store) == []


async def test_nothing_is_told_of_an_entity_without_an_open_incident(
    store: Store, folder: Path, client: Redis
) -> None:
    points = points_like("alpha", 60)
    async with swapping(store, folder, Policy()) as (ingest, swap):
        await ingest.submit(points[:57])
        await swap()
        await ingest.submit(points[57:])
    assert alerts_in(client) == []


async def test_nothing_is_told_of_an_incident_that_nobody_was_told_of(
    store: Store, folder: Path, client: Redis
) -> None:
    points = points_like("never-seen", 60, fault_from=55)
    async with swapping(store, folder, Policy()) as (ingest, swap):
        await ingest.submit(points[:57])
        await swap()
        await ingest.submit(points[57:])
    assert alerts_in(client) == []


async def test_an_untrained_entity_whose_policy_asks_for_alerts_is_told_of_too(
    store: Store, folder: Path, client: Redis
) -> None:
    points = points_like("never-seen", 400, fault_from=390)
    async with swapping(store, folder, Policy(alert_while_calibrating=True)) as (ingest, swap):
        *_, last = await ingest.submit(points[:395])
        assert open_incidents(store) == [last.incident]
        await swap()
        await ingest.submit(points[395:])
    assert (last.incident, "abandoned") in ended(client)


async def test_a_silence_is_told_to_end_by_a_bundle_of_other_dimensions(
    store: Store, folder: Path, client: Redis
) -> None:
    points = points_like("alpha", 60)
    async with swapping(store, folder, Policy()) as (ingest, swap):
        await ingest.submit(points[:50])
        wait_over(client)
        assert await ingest.tick() == 1
        (silent,) = open_incidents(store)
        await swap()
        await ingest.submit(points[50:])
    assert ended(client) == [(silent, "data_again")]
    assert open_incidents(store) == []


UNTRAINED = {"entities": ("delta", "epsilon")}  # of the same dimensions, trained on others


async def test_an_incident_of_which_nothing_would_be_told_any_more_is_told_to_end(
    store: Store, folder: Path, client: Redis
) -> None:
    points = points_like("alpha", 80, fault_from=55)
    async with swapping(store, folder, Policy(), **UNTRAINED) as (ingest, swap):
        *_, last = await ingest.submit(points[:57])
        await swap()
        for point in points[57:]:
            await ingest.submit([point])
    assert ended(client) == [(last.incident, "abandoned")]
    assert open_incidents(store) == []


async def test_an_incident_goes_on_where_the_policy_asks_for_alerts_all_the_same(
    store: Store, folder: Path, client: Redis
) -> None:
    points = points_like("alpha", 80, fault_from=55)
    points[60:] = points_like("alpha", 80)[60:]
    policy = Policy(alert_while_calibrating=True)
    async with swapping(store, folder, policy, **UNTRAINED) as (ingest, swap):
        *_, last = await ingest.submit(points[:57])
        await swap()
        await ingest.submit(points[57:])
    assert ended(client) == [(last.incident, "quiet")]


async def test_a_silence_is_told_to_end_by_a_bundle_that_was_not_trained_on_the_entity(
    store: Store, folder: Path, client: Redis
) -> None:
    points = points_like("alpha", 60)
    async with swapping(store, folder, Policy(), **UNTRAINED) as (ingest, swap):
        await ingest.submit(points[:50])
        wait_over(client)
        assert await ingest.tick() == 1
        (silent,) = open_incidents(store)
        await swap()
        await ingest.submit(points[50:])
    assert ended(client) == [(silent, "data_again")]


async def test_the_end_is_told_although_the_next_point_only_waits(
    store: Store, folder: Path, client: Redis
) -> None:
    points = points_like("alpha", 60, fault_from=50)
    policy = Policy(lateness_seconds=2 * PERIOD_MS / 1000)
    async with swapping(store, folder, policy) as (ingest, swap):
        verdicts = await ingest.submit(points[:57])
        assert [verdict.status for verdict in verdicts].count("held") == 2
        (incident,) = open_incidents(store)
        await swap()
        with capture_logs() as logs:
            (held,) = await ingest.submit(points[57:58])
        assert held.status == "held"
        assert ended(client) == [(incident, "abandoned")]
        (dropped,) = [log for log in logs if log["event"] == "waiting points dropped"]
        assert (dropped["points"], dropped["log_level"]) == (2, "warning")
        wait_over(client)
        await ingest.tick()
        view = await ingest.entity("alpha", rows=100)
    assert [row.timestamp_ms for row in view.window] == [points[57].timestamp_ms]
    assert ended(client) == [(incident, "abandoned")]


async def test_points_that_waited_under_other_names_are_gone_from_redis_with_the_next_point(
    store: Store, folder: Path
) -> None:
    points = points_like("alpha", 60)
    async with swapping(store, folder, Policy(lateness_seconds=120.0)) as (ingest, swap):
        await ingest.submit(points[:57])
        await swap()
        await ingest.submit(points[57:], is_backfill=True)
    (stored,) = store.load(["alpha"])
    assert stored is not None
    assert stored.waiting == b""


async def test_a_late_point_stays_late_although_its_entity_starts_anew(
    store: Store, folder: Path
) -> None:
    points = points_like("alpha", 60)
    async with swapping(store, folder, Policy(lateness_seconds=120.0)) as (ingest, swap):
        await ingest.submit(points[:57])
        await swap()
        await ingest.submit(points[57:58])
    models = Models(folder, default=None)
    async with Ingest(store.twin(), models) as restarted:
        await Rollout(store.twin(), models).start()
        (late,) = await restarted.submit(points[20:21])
    assert late.status == "late"


@pytest.mark.parametrize("remains", [b"", b"torn"])
async def test_the_end_of_an_incident_is_told_where_the_snapshot_cannot_be_read(
    store: Store, folder: Path, client: Redis, remains: bytes
) -> None:
    points = points_like("alpha", 62, fault_from=55)
    async with swapping(store, folder, Policy()) as (ingest, _swap):
        *_, last = await ingest.submit(points[:57])
    _, snapshot = entity_keys("alpha", OPTIONS.shards)
    client.set(snapshot, remains)
    models = Models(folder, default=None)
    await Rollout(store.twin(), models).start()
    async with Ingest(store.twin(), models) as restarted:
        await restarted.submit(points[57:])
    assert ended(client) == [(last.incident, "abandoned")]
