"""Entities whose bundle is gone, folder or form: what was told of them ends, and is counted."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from redis import Redis

from service.scoring.bundle import load_bundle
from service.stream.ingest import Ingest
from service.stream.keys import entity_keys
from service.stream.models import Models
from service.stream.policy import Policies, Policy
from service.stream.rollout import Rollout
from service.stream.store import Store
from tests.builders import PERIOD_MS, another_version
from tests.headers import read_header, write_header
from tests.stream.test_lateness import Clock
from tests.stream.test_swap import (
    LIMITS,
    OPTIONS,
    alerts_in,
    ended,
    open_incidents,
    points_like,
    wait_over,
)

PATIENT = Policies(default=Policy(lateness_seconds=3 * PERIOD_MS / 1000))
NOTHING_DROPPED = {"bundle_gone": 0, "other_dimensions": 0, "deleted": 0}


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


def served(folder: Path, policies: Policies | None = None) -> Models:
    models = Models(folder, default=None)
    known = models.serving.configuration.with_policies(policies or Policies())
    models.adopt(models.serving.epoch, known)
    return models


def lose_folder(folder: Path, client: Redis) -> None:
    """The version that scored is gone; another one serves."""
    first, second = load_bundle(folder / "tiny").folder, another_version(folder)
    (folder / "tiny" / "current").write_text(second + "\n")
    shutil.rmtree(first)


def age(folder: Path, client: Redis) -> None:
    """What Redis keeps of `alpha` was written by another release, in a form of its own."""
    header = read_header(client, "alpha", OPTIONS.shards)
    assert header is not None
    older = header._replace(layout=header.layout.replace(b".", b".0"))
    write_header(client, "alpha", OPTIONS.shards, older)
    client.append(entity_keys("alpha", OPTIONS.shards)[1].decode(), b"more")


def lose_default(folder: Path) -> None:
    """Another bundle appears: none of the two scores what neither was trained on."""
    version = another_version(folder, name="other", entities=("delta", "epsilon"))
    (folder / "other").mkdir()
    (folder / "tiny" / version).rename(folder / "other" / version)
    (folder / "other" / "current").write_text(version + "\n")


@pytest.mark.parametrize("lose", [lose_folder, age])
async def test_an_open_incident_is_told_to_end_once_with_the_next_point(
    store: Store, folder: Path, client: Redis, lose: Callable[[Path, Redis], None]
) -> None:
    async with Ingest(store, served(folder)) as ingest:
        *_, last = await ingest.submit(points_like("alpha", 57, fault_from=55))
        await ingest.submit(points_like("beta", 5))
    assert open_incidents(store) == [last.incident]
    lose(folder, client)
    async with Ingest(store.twin(), served(folder)) as restarted:
        await restarted.submit(points_like("beta", 7)[5:])
        for point in points_like("alpha", 62)[57:]:
            await restarted.submit([point])
    assert ended(client) == [(last.incident, "abandoned")]
    assert open_incidents(store) == []


async def test_nothing_is_told_of_an_incident_that_nobody_was_told_of(
    store: Store, folder: Path, client: Redis
) -> None:
    points = points_like("stranger", 62, fault_from=55)
    async with Ingest(store, served(folder)) as ingest:
        await ingest.submit(points[:57])
    lose_folder(folder, client)
    async with Ingest(store.twin(), served(folder)) as restarted:
        await restarted.submit(points[57:])
    assert alerts_in(client) == []


async def test_a_silence_is_told_to_end(store: Store, folder: Path, client: Redis) -> None:
    points = points_like("alpha", 40)
    async with Ingest(store, served(folder), limits=LIMITS) as ingest:
        await ingest.submit(points[:30])
        wait_over(client)
        assert await ingest.tick() == 1
    silent = open_incidents(store)
    lose_folder(folder, client)
    async with Ingest(store.twin(), served(folder), limits=LIMITS) as restarted:
        await restarted.submit(points[30:])
    assert [(name, "data_again") for name in silent] == ended(client)


@pytest.mark.parametrize("lose", [lose_folder, age])
async def test_points_that_waited_are_counted_once_they_are_gone(
    store: Store, folder: Path, client: Redis, lose: Callable[[Path, Redis], None]
) -> None:
    points = points_like("alpha", 40)
    async with Ingest(store, served(folder, PATIENT)) as ingest:
        verdicts = await ingest.submit(points[:30])
        assert [verdict.status for verdict in verdicts].count("held") == 3
        assert ingest.dropped_points == NOTHING_DROPPED
    lose(folder, client)
    async with Ingest(store.twin(), served(folder, PATIENT)) as restarted:
        for point in points[30:32]:
            await restarted.submit([point])
        assert restarted.dropped_points == {**NOTHING_DROPPED, "bundle_gone": 3}


async def test_points_that_waited_are_counted_although_no_other_comes(
    store: Store, folder: Path, client: Redis
) -> None:
    """And the entity is not called silent before its time."""
    clock = Clock()
    async with Ingest(store, served(folder, PATIENT), clock_ms=clock, limits=LIMITS) as ingest:
        await ingest.submit(points_like("alpha", 60, fault_from=50))
    open_here = open_incidents(store)
    lose_folder(folder, client)
    models = served(folder, PATIENT)
    async with Ingest(store.twin(), models, clock_ms=clock, limits=LIMITS) as restarted:
        clock.now_ms += 3 * PERIOD_MS
        assert await restarted.tick() == 0
        assert restarted.dropped_points == {**NOTHING_DROPPED, "bundle_gone": 3}
        assert ended(client) == [(name, "abandoned") for name in open_here]
        clock.now_ms += 10 * PERIOD_MS
        assert await restarted.tick() == 1
    assert restarted.dropped_points == {**NOTHING_DROPPED, "bundle_gone": 3}


async def test_what_is_open_of_an_entity_that_no_bundle_scores_any_more_ends(
    store: Store, folder: Path, client: Redis
) -> None:
    """It is forgotten then, for nothing could go on with it; a calm one is kept."""
    telling = Policy(alert_while_calibrating=True, lateness_seconds=3 * PERIOD_MS / 1000)
    models, clock = served(folder, Policies(entities={"stranger": telling})), Clock()
    points = points_like("stranger", 400, fault_from=390)
    async with Ingest(store, models, limits=LIMITS, clock_ms=clock) as ingest:
        await ingest.submit(points[:398])
        await ingest.submit(points_like("calm", 30))
    (incident,), before = open_incidents(store), ended(client)
    lose_default(folder)
    async with Ingest(store.twin(), served(folder), limits=LIMITS, clock_ms=clock) as restarted:
        await restarted.tick()
        assert open_incidents(store) == [incident]
        wait_over(client)
        for _ in range(2):
            await restarted.tick()
        assert restarted.dropped_points == {**NOTHING_DROPPED, "bundle_gone": 3}
    assert ended(client) == [*before, (incident, "abandoned")]
    assert open_incidents(store) == []
    assert [found is None for found in store.load(["stranger", "calm"])] == [True, False]


async def test_a_replica_that_lags_behind_the_configuration_gives_nobody_up(
    store: Store, folder: Path, client: Redis
) -> None:
    """A bundle may have been assigned just now."""
    loud = Policies(default=Policy(alert_while_calibrating=True))
    async with Ingest(store, served(folder, loud), limits=LIMITS) as ingest:
        await ingest.submit(points_like("stranger", 400, fault_from=390))
    before = open_incidents(store)
    lose_default(folder)
    models = served(folder)
    async with Ingest(store.twin(), models, limits=LIMITS) as restarted:
        assert store.configure(store.epoch(), b"{}") is not None
        wait_over(client)
        await restarted.tick()
        assert open_incidents(store) == before != []
        await Rollout(store.twin(), models).start()
        await restarted.tick()
    assert open_incidents(store) == []


async def test_points_that_wait_are_counted_when_their_entity_is_deleted(
    store: Store, folder: Path
) -> None:
    async with Ingest(store, served(folder, PATIENT)) as ingest:
        await ingest.submit(points_like("alpha", 30))
        await ingest.forget("alpha")
        assert ingest.dropped_points == {**NOTHING_DROPPED, "deleted": 3}
