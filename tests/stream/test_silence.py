"""Entities that fall silent: told once, by one replica, and taken back by the next point."""

import asyncio
import dataclasses
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from redis import Redis

from service.stream import caretaker
from service.stream.incident_messages import Wanted
from service.stream.incidents import Incidents
from service.stream.ingest import Ingest, Limits
from service.stream.keys import alert_stream_key, deadline_key
from service.stream.messages import Alert, Point
from service.stream.models import Models
from service.stream.policy import Maintenance, Policies, Policy
from service.stream.store import Store, StoreOptions
from tests.builders import series_like
from tests.stream.test_lateness import Clock, with_policies

SHARDS = 2
WAITING = Limits(silence_periods=10.0)  # 600 s


@pytest.fixture
def store(redis_url: str) -> Iterator[Store]:
    options = StoreOptions(durability="everysec", shards=SHARDS)
    with closing(Store(redis_url, options)) as store:
        store.check()
        yield store


@pytest.fixture
def client(redis_url: str) -> Iterator[Redis]:
    with Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def models(bundle_folder: Path) -> Models:
    return Models(bundle_folder, default="tiny")


def points_like(entity: str, count: int, *, fault_from: int | None = None) -> list[Point]:
    series = series_like(entity, count)
    if fault_from is not None:
        series.values[fault_from:, 1] += 5.0 + np.arange(count - fault_from) % 3
    rows = zip(series.timestamps_ms.tolist(), series.values.tolist(), strict=True)
    return [Point(entity, time, values) for time, values in rows]


def alerts_in(client: Redis) -> list[Alert]:
    streams: list[Any] = [client.xrange(alert_stream_key(shard)) for shard in range(SHARDS)]
    entries = [fields for stream in streams for _, fields in stream]
    return [msgspec.json.decode(fields[b"alert"], type=Alert) for fields in entries]


def wait_over(client: Redis) -> None:
    """Make every deadline pass."""
    for shard in range(SHARDS):
        waiting: Any = client.zrange(deadline_key(shard), 0, -1)
        if waiting:
            client.zadd(deadline_key(shard), dict.fromkeys(waiting, 1))


async def test_silence_is_told_once_and_ends_with_the_next_point(
    store: Store, models: Models, client: Redis
) -> None:
    points = points_like("alpha", 31)
    async with Ingest(store, models, limits=WAITING) as ingest:
        await ingest.submit(points[:30])
        assert await ingest.tick() == 0
        wait_over(client)
        assert await ingest.tick() == 1
        assert await ingest.tick() == 0
        (told,) = alerts_in(client)
        assert (told.kind, told.reason, told.opened_ms) == (
            "opened",
            "no_data",
            points[29].timestamp_ms,
        )
        (kept,) = Incidents(store).page(Wanted(is_open=True), limit=9, after=None).incidents
        assert kept.incident == told.incident
        (verdict,) = await ingest.submit(points[30:])
    assert verdict.status == "scored"
    assert [(a.kind, a.reason) for a in alerts_in(client)][1:] == [("resolved", "data_again")]
    (kept,) = Incidents(store).page(Wanted(), limit=9, after=None).incidents
    assert not kept.is_open


async def test_an_incident_ends_when_points_stop(
    store: Store, models: Models, client: Redis
) -> None:
    async with Ingest(store, models, limits=WAITING) as ingest:
        *_, last = await ingest.submit(points_like("alpha", 60, fault_from=55))
        assert last.incident is not None
        wait_over(client)
        assert await ingest.tick() == 1
        reasons = [(a.incident, a.reason) for a in alerts_in(client) if a.kind == "resolved"]
        assert reasons == [(last.incident, "silence")]
        again = points_like("alpha", 70)[60:]
        verdicts = await ingest.submit(again)
    assert all(verdict.incident != last.incident for verdict in verdicts)


async def test_two_replicas_tell_it_once_and_either_takes_it_back(
    store: Store, models: Models, client: Redis
) -> None:
    points = points_like("alpha", 40)
    async with (
        Ingest(store, models, limits=WAITING) as first,
        Ingest(store.twin(), models, limits=WAITING) as second,
    ):
        await first.submit(points[:20])
        await second.submit(points[20:30])
        wait_over(client)
        told = await asyncio.gather(first.tick(), second.tick())
        assert sum(told) <= 1
        if not sum(told):
            wait_over(client)
            await asyncio.gather(first.tick(), second.tick())
        assert [a.reason for a in alerts_in(client)] == ["no_data"]
        await first.submit(points[30:])
    assert [a.reason for a in alerts_in(client)] == ["no_data", "data_again"]


async def test_a_replica_that_told_a_silence_tells_the_next_one_too(
    store: Store, models: Models, client: Redis
) -> None:
    """Whatever it remembers: the points in between went to another replica."""
    points = points_like("alpha", 40)
    async with (
        Ingest(store, models, limits=WAITING) as first,
        Ingest(store.twin(), models, limits=WAITING) as second,
    ):
        await first.submit(points[:20])
        wait_over(client)
        assert await first.tick() == 1
        await second.submit(points[20:])
        wait_over(client)
        assert await first.tick() == 1
    assert [a.reason for a in alerts_in(client)] == ["no_data", "data_again", "no_data"]


async def test_a_restart_does_not_forget_a_silence(
    store: Store, models: Models, client: Redis
) -> None:
    points = points_like("alpha", 31)
    async with Ingest(store, models, limits=WAITING) as ingest:
        await ingest.submit(points[:30])
    wait_over(client)
    async with Ingest(store, models, limits=WAITING) as ingest:
        assert await ingest.tick() == 1
    async with Ingest(store, models, limits=WAITING) as ingest:
        await ingest.submit(points[30:])
    assert [a.reason for a in alerts_in(client)] == ["no_data", "data_again"]


async def test_nobody_waits_for_the_unknown_the_expired_or_by_default(
    store: Store, models: Models, client: Redis
) -> None:
    async with Ingest(store, models, limits=WAITING) as ingest:
        await ingest.submit(points_like("stranger", 20))  # calibrating: it never alerts
        await ingest.submit(points_like("alpha", 20))
        store.delete(["alpha"])
        wait_over(client)
        assert [await ingest.tick(), await ingest.tick()] == [0, 0]
    never = dataclasses.replace(WAITING, silence_periods=0)
    async with Ingest(store, models, limits=never) as off:
        await off.submit(points_like("beta", 20))
    assert alerts_in(client) == []
    assert [client.zcard(deadline_key(shard)) for shard in range(SHARDS)] == [0, 0]


async def test_silence_in_maintenance_is_told_when_that_is_over(
    store: Store, bundle_folder: Path, client: Redis
) -> None:
    clock = Clock()
    over_ms = clock.now_ms + 3_600_000
    closed = Policy(maintenance=(Maintenance(0, over_ms),))
    models = with_policies(bundle_folder, Policies(default=closed))
    async with Ingest(store, models, limits=WAITING, clock_ms=clock) as ingest:
        await ingest.submit(points_like("alpha", 30))
        for _ in range(2):
            clock.now_ms += 600_000
            assert await ingest.tick() == 0
        clock.now_ms = over_ms
        assert await ingest.tick() == 1
    assert [alert.reason for alert in alerts_in(client)] == ["no_data"]


@pytest.mark.parametrize("is_closed_by_the_clock", [True, False])
async def test_the_clock_says_whether_silence_is_in_maintenance(
    store: Store, bundle_folder: Path, client: Redis, *, is_closed_by_the_clock: bool
) -> None:
    """The points are of last week: without points only the clock goes on, and a window ends."""
    clock = Clock()
    points = points_like("alpha", 30)
    clock.now_ms = points[-1].timestamp_ms + 7 * 86_400_000
    start_ms = clock.now_ms if is_closed_by_the_clock else points[0].timestamp_ms
    hours = Policy(maintenance=(Maintenance(start_ms, start_ms + 3_600_000),))
    models = with_policies(bundle_folder, Policies(default=hours))
    async with Ingest(store, models, limits=WAITING, clock_ms=clock) as ingest:
        await ingest.submit(points)
        clock.now_ms += 600_000
        assert await ingest.tick() == (0 if is_closed_by_the_clock else 1)
        clock.now_ms += 3_600_000
        await ingest.tick()
    (told,) = alerts_in(client)
    assert (told.reason, told.timestamp_ms) == ("no_data", points[-1].timestamp_ms + 600_000)


async def test_a_silence_ends_with_its_entity_when_that_is_kept_no_longer(
    store: Store, models: Models, client: Redis
) -> None:
    clock, limits = Clock(), WAITING
    async with Ingest(store, models, limits=limits, clock_ms=clock) as ingest:
        await ingest.submit(points_like("alpha", 30))
        clock.now_ms += 600_000
        assert await ingest.tick() == 1
        clock.now_ms += 900 * store.options.ttl_seconds
        await ingest.tick()
        assert [one is None for one in store.load(["alpha"])] == [False]
        clock.now_ms += 95 * store.options.ttl_seconds
        for _ in range(2):
            assert await ingest.tick() == 0
        assert store.load(["alpha"]) == [None]
        assert ingest.entities == 0
    assert [(a.kind, a.reason) for a in alerts_in(client)] == [
        ("opened", "no_data"),
        ("resolved", "abandoned"),
    ]
    assert Incidents(store).page(Wanted(is_open=True), limit=9, after=None).incidents == []
    assert [client.zcard(deadline_key(shard)) for shard in range(SHARDS)] == [0, 0]


async def test_a_silence_that_another_replica_told_a_moment_ago_is_kept(
    store: Store, models: Models, client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between looking for deadlines and looking at the entity."""
    async with Ingest(store, models, limits=WAITING) as ingest:
        await ingest.submit(points_like("alpha", 30))
        wait_over(client)
        assert await ingest.tick() == 1
        monkeypatch.setattr(caretaker, "due_entities", lambda _store, _now_ms: ["alpha"])
        assert await ingest.tick() == 0
    assert [alert.reason for alert in alerts_in(client)] == ["no_data"]
    assert [one is None for one in store.load(["alpha"])] == [False]


async def test_a_label_does_not_shorten_how_long_a_silent_entity_is_kept(
    store: Store, models: Models, client: Redis
) -> None:
    clock = Clock()
    async with Ingest(store, models, limits=WAITING, clock_ms=clock) as ingest:
        *_, last = await ingest.submit(points_like("alpha", 60, fault_from=55))
        assert last.incident is not None
        clock.now_ms += 600_000
        assert await ingest.tick() == 1
        await ingest.accept("alpha", last.incident)
        clock.now_ms += 1_200_000
        await ingest.tick()
    assert [one is None for one in store.load(["alpha"])] == [False]
