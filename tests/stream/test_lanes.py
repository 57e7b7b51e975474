"""What the lanes of a process hold on to, and what they let go."""

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from service.scoring.bundle import load_bundle
from service.scoring.fold import Fold
from service.stream.arena import Held
from service.stream.ingest import Ingest
from service.stream.lane import Arrived, Lane
from service.stream.messages import Point
from service.stream.models import Models
from service.stream.rollout import Rollout
from service.stream.rows import Rows
from service.stream.shadow import Shadow
from service.stream.store import Store, StoreOptions
from tests.builders import another_version, series_like


@pytest.fixture
def folder(tmp_path: Path, bundle_folder: Path) -> Path:
    shutil.copytree(bundle_folder / "tiny", tmp_path / "tiny")
    return tmp_path


@pytest.fixture
def store(redis_url: str) -> Iterator[Store]:
    with closing(Store(redis_url, StoreOptions(durability="everysec"))) as store:
        store.check()
        yield store


def points_like(entity: str, count: int, *, start: int = 0) -> list[Point]:
    series = series_like(entity, 100)
    rows = zip(series.timestamps_ms.tolist(), series.values.tolist(), strict=True)
    return [Point(entity, time, values) for time, values in rows][start : start + count]


async def test_a_version_that_is_replaced_lets_its_entities_go(store: Store, folder: Path) -> None:
    models = Models(folder, default=None)
    new = another_version(folder)
    rollout = Rollout(store.twin(), models)
    await rollout.start()
    async with Ingest(store, models) as ingest:
        for entity in ("alpha", "beta", "gamma"):
            await ingest.submit(points_like(entity, 40))
        assert ingest.entities == 3
        await rollout.change(lambda known: known.activated("tiny", new))
        await ingest.submit(points_like("alpha", 5, start=40))
        await ingest.tick()
        assert ingest.entities == 1
        (late, *_) = await ingest.submit(points_like("beta", 5, start=39))
        view = await ingest.entity("gamma", rows=5)  # of the version before, and still read
        assert (late.status, view.points, ingest.entities) == ("duplicate", 40, 2)
        await rollout.change(lambda known: known.rolled_back("tiny"))
        verdicts = await ingest.submit(points_like("gamma", 5, start=40))
        await ingest.tick()
    assert {verdict.status for verdict in verdicts} == {"calibrating"}
    assert ingest.entities == 1


async def test_a_shadow_that_ended_lets_its_entities_go(store: Store, folder: Path) -> None:
    models = Models(folder, default=None)
    twin = another_version(folder)
    rollout = Rollout(store.twin(), models)
    await rollout.start()
    async with Ingest(store, models) as ingest:
        await rollout.change(lambda known: known.shadowed("tiny", twin))
        await ingest.submit(points_like("alpha", 40))
        await ingest.tick()
        report = ingest.shadow_report("tiny")
        assert report is not None
        assert report.entities == 1
        await rollout.change(lambda known: known.shadowed("tiny", None))
        await ingest.tick()
        await rollout.change(lambda known: known.shadowed("tiny", twin))
        again = ingest.shadow_report("tiny")
        assert again is not None
        assert again.entities == 0


async def test_an_entity_that_is_deleted_is_new_to_its_shadow_too(
    store: Store, folder: Path
) -> None:
    models = Models(folder, default=None)
    twin = another_version(folder)
    rollout = Rollout(store.twin(), models)
    await rollout.start()
    async with Ingest(store, models) as ingest:
        await rollout.change(lambda known: known.shadowed("tiny", twin))
        await ingest.submit(points_like("alpha", 40))
        await ingest.forget("alpha")
        await ingest.submit(points_like("alpha", 40))
        await ingest.tick()
        report = ingest.shadow_report("tiny")
    assert report is not None
    assert report.points == 80


def arrived(entity: str, lane: Lane) -> tuple[Arrived, Rows]:
    """One point of an entity, and a row of zeros for what the active version said."""
    one = Arrived(
        entities=[entity],
        held=[Held(-1)],
        waiting=[None],
        members=np.array([0]),
        counts=[1],
        timestamps_ms=np.array([1_000]),
        values=np.zeros((1, 4), np.float32),
        is_quiet=np.array([False]),
    )
    return one, np.zeros(1, lane.row_dtype)


def test_a_shadow_remembers_no_more_entities_than_it_may(bundle_folder: Path) -> None:
    fold = Fold(load_bundle(bundle_folder / "tiny"))
    shadow = Shadow(Lane(fold, max_entities=4), Lane(fold, max_entities=4))
    for number in range(10):
        shadow.score(*arrived(f"machine-{number}", shadow.active))
    report = shadow.report()
    assert (report.entities, report.points) == (4, 10)
