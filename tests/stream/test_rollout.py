"""Bundles change under a running stream: real Redis, real graphs."""

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st

from service.errors import BadInput, BadPoints, BundleInvalid, StoreUnavailable, UnknownBundle
from service.stream.configuration import Active, Configuration
from service.stream.ingest import Ingest
from service.stream.lane import MIN_WINDOW_ROWS
from service.stream.messages import Point, Verdict
from service.stream.models import Models
from service.stream.posted import Posted
from service.stream.rollout import Change, Rollout, refresh
from service.stream.store import Store, StoreOptions
from tests.builders import another_version, series_like

OPTIONS = StoreOptions(durability="everysec")


@pytest.fixture
def folder(tmp_path: Path, bundle_folder: Path) -> Path:
    shutil.copytree(bundle_folder / "tiny", tmp_path / "tiny")
    return tmp_path


@pytest.fixture
def store(redis_url: str) -> Iterator[Store]:
    with closing(Store(redis_url, OPTIONS)) as store:
        store.check()
        yield store


def points_like(count: int, *, entity: str = "alpha", seed: int = 1) -> list[Point]:
    series = series_like(entity, count, seed=seed)
    rows = zip(series.timestamps_ms.tolist(), series.values.tolist(), strict=True)
    return [Point(entity, time, values) for time, values in rows]


def faulty(points: list[Point], first: int, last: int) -> list[Point]:
    """With one dimension far off in some rows."""
    values = np.array([point.values for point in points], float)
    values[first:last, 1] += 6.0 + np.arange(last - first) % 3
    return [
        Point(point.entity, point.timestamp_ms, row)
        for point, row in zip(points, values.tolist(), strict=True)
    ]


def statuses(verdicts: list[Verdict]) -> set[str]:
    return {verdict.status for verdict in verdicts}


def current(models: Models) -> str:
    return models.serving.configuration.active["tiny"].version


async def test_an_activation_loses_no_point_and_keeps_the_open_incident(
    store: Store, folder: Path
) -> None:
    models, points = Models(folder, default=None), faulty(points_like(140), 90, 110)
    old, new = current(models), another_version(folder)
    rollout = Rollout(store.twin(), models)
    await rollout.start()
    async with Ingest(store, models) as ingest:
        before = await ingest.submit(points[:100])
        await rollout.change(lambda known: known.activated("tiny", new))
        after = await ingest.submit(points[100:])
    assert statuses(after) == {"scored"}
    assert {verdict.model for verdict in before} == {f"tiny/{old}"}
    assert {verdict.model for verdict in after} == {f"tiny/{new}"}
    incident = before[-1].incident
    assert incident is not None
    assert after[0].incident == incident
    resolved = [verdict for verdict in after if verdict.transition == "resolved"]
    assert [verdict.incident for verdict in resolved] == [incident]


async def test_points_scored_before_an_activation_get_their_first_answer_after_it(
    store: Store, folder: Path
) -> None:
    models, points = Models(folder, default=None), points_like(120)
    old, new = current(models), another_version(folder)
    rollout = Rollout(store.twin(), models)
    await rollout.start()
    async with Ingest(store, models) as ingest:
        first = await ingest.submit(points[:100])
        await rollout.change(lambda known: known.activated("tiny", new))
        again = await ingest.submit(points[60:100])  # nothing new yet: not even committed
        await ingest.submit(points[100:])
        later = await ingest.submit(points[60:100])
    for repeated in (again, later):
        assert statuses(repeated) == {"duplicate"}
        assert [v.score for v in repeated] == [v.score for v in first[60:]]
        assert {v.model for v in repeated} == {old}


async def test_a_rollback_brings_the_version_before_back(store: Store, folder: Path) -> None:
    models, points = Models(folder, default=None), points_like(90)
    old, new = current(models), another_version(folder)
    rollout = Rollout(store.twin(), models)
    await rollout.start()
    async with Ingest(store, models) as ingest:
        await ingest.submit(points[:30])
        await rollout.change(lambda known: known.activated("tiny", new))
        await ingest.submit(points[30:60])
        await rollout.change(lambda known: known.rolled_back("tiny"))
        last = await ingest.submit(points[60:])
    assert {(v.model, v.status) for v in last} == {(f"tiny/{old}", "scored")}


async def test_a_swapped_entity_soon_scores_as_one_that_was_never_swapped(
    store: Store, folder: Path
) -> None:
    """The other version differs in its name alone, so what remains is the rebuilt normaliser."""
    models = Models(folder, default=None)
    new = another_version(folder)
    rollout = Rollout(store.twin(), models)
    await rollout.start()
    swapped, steady = (points_like(900, entity=entity) for entity in ("alpha", "never"))
    steady = [Point("never", p.timestamp_ms, p.values) for p in swapped]
    async with Ingest(store, models) as ingest:
        await rollout.change(lambda known: known.patterned((("never", "tiny"),), None))
        scores = {}
        for points in (swapped, steady):
            verdicts = await ingest.submit(points[:300])
            if points is swapped:
                await rollout.change(lambda known: known.activated("tiny", new))
            verdicts += await ingest.submit(points[300:600]) + await ingest.submit(points[600:])
            scores[points[0].entity] = [v.severity for v in verdicts[MIN_WINDOW_ROWS:]]
    apart = np.abs(np.subtract(*[np.array(s, float) for s in scores.values()]))
    assert np.median(apart[600:]) < 1.0


async def test_a_replica_that_lags_follows_within_its_next_commit(
    store: Store, folder: Path
) -> None:
    ahead, behind = Models(folder, default=None), Models(folder, default=None)
    new = another_version(folder)
    rollouts = [Rollout(store.twin(), models) for models in (ahead, behind)]
    for rollout in rollouts:
        await rollout.start()
    points = points_like(90)
    async with Ingest(store, ahead) as first, Ingest(store.twin(), behind) as second:
        await second.submit(points[:30])
        await rollouts[0].change(lambda known: known.activated("tiny", new))
        await first.submit(points[30:60])
        assert current(behind) != new
        verdicts = await second.submit(points[60:])
    assert current(behind) == new
    assert {(v.model, v.status) for v in verdicts} == {(f"tiny/{new}", "scored")}


async def test_a_replica_without_the_version_says_so_and_keeps_nothing(
    store: Store, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    poor = tmp_path_factory.mktemp("poor")
    shutil.copytree(folder / "tiny", poor / "tiny")
    ahead, behind = Models(folder, default=None), Models(poor, default=None)
    new = another_version(folder)
    rollout = Rollout(store.twin(), ahead)
    await rollout.start()
    refresh(behind, store)
    points = points_like(60)
    async with Ingest(store, ahead) as first, Ingest(store.twin(), behind) as second:
        await rollout.change(lambda known: known.activated("tiny", new))
        await first.submit(points[:30])
        with pytest.raises(StoreUnavailable, match="cannot be served here"):
            await second.submit(points[30:])
        verdicts = await first.submit(points[30:])
    assert statuses(verdicts) == {"scored"}


async def test_points_that_waited_through_a_swap_are_checked_again(
    store: Store, folder: Path
) -> None:
    models = Models(folder, default=None)
    renamed = another_version(folder, dimensions=("a", "b", "c", "e"))
    rollout = Rollout(store.twin(), models)
    await rollout.start()
    async with Ingest(store, models) as ingest:
        serving = models.serving
        await rollout.change(lambda known: known.activated("tiny", renamed))
        named = Posted.of([Point("alpha", 1, {"a": 1.0, "d": 2.0})])
        serving.check(named)
        with pytest.raises(BadPoints):
            await ingest._batcher.submit(named, checked=serving)


async def test_a_bundle_of_other_dimensions_starts_entities_anew(
    store: Store, folder: Path
) -> None:
    models = Models(folder, default=None)
    renamed = another_version(folder, dimensions=("a", "b", "c", "e"))
    rollout = Rollout(store.twin(), models)
    await rollout.start()
    points = points_like(60)
    async with Ingest(store, models) as ingest:
        await ingest.submit(points[:30])
        await rollout.change(lambda known: known.activated("tiny", renamed))
        verdicts = await ingest.submit(points[30:])
    assert [v.status for v in verdicts[:2]] == ["warming", "warming"]
    assert verdicts[-1].status == "scored"


def assigning(entity: str) -> Change:
    return lambda known: known.with_entities({**known.entities, entity: "tiny"})


async def test_many_changes_at_once_all_arrive(store: Store, folder: Path) -> None:
    replicas = [Models(folder, default=None) for _ in range(3)]
    rollouts = [Rollout(store.twin(), models) for models in replicas]
    for rollout in rollouts:
        await rollout.start()
    epoch = store.epoch()
    names = [f"machine-{number}" for number in range(9)]
    await asyncio.gather(
        *(rollouts[number % 3].change(assigning(name)) for number, name in enumerate(names))
    )
    document = store.configuration()[1]
    assert document is not None
    assert set(Configuration.decode(document).entities) == set(names)
    assert store.epoch() == epoch + 9


async def test_a_change_that_cannot_be_opened_changes_nothing(store: Store, folder: Path) -> None:
    models = Models(folder, default=None)
    new, before = another_version(folder), current(models)
    (folder / "tiny" / new / "step.onnx").write_bytes(b"not a graph")
    rollout = Rollout(store, models)
    await rollout.start()
    epoch = store.epoch()
    with pytest.raises(BundleInvalid):
        await rollout.change(lambda known: known.activated("tiny", new))
    with pytest.raises(UnknownBundle):
        await rollout.change(lambda known: known.activated("huge", new))
    assert (store.epoch(), current(models)) == (epoch, before)


async def test_a_start_takes_what_is_current_unless_somebody_pinned_another(
    store: Store, folder: Path
) -> None:
    models = Models(folder, default=None)
    old, new = current(models), another_version(folder)
    await Rollout(store, models).start()
    (folder / "tiny" / "current").write_text(new)
    restarted = Models(folder, default=None)
    await Rollout(store, restarted).start()
    assert current(restarted) == new
    rollout = Rollout(store, restarted)
    await rollout.change(lambda known: known.rolled_back("tiny"))
    again = Models(folder, default=None)
    await Rollout(store, again).start()
    assert current(again) == old


versions = st.sampled_from(["v1", "v2", "v3"])


@given(st.lists(versions, max_size=8))
def test_rollbacks_undo_activations(chosen: list[str]) -> None:
    start = Configuration(active={"tiny": Active("v0")})
    configuration, history = start, ["v0"]
    for version in chosen:
        configuration = configuration.activated("tiny", version)
        if history[-1] != version:
            history.append(version)
    while len(history) > 1:
        assert configuration.active["tiny"].version == history.pop()
        configuration = configuration.rolled_back("tiny")
    assert configuration.active["tiny"].version == "v0"
    with pytest.raises(BadInput, match="none"):
        configuration.rolled_back("tiny")


def test_one_entity_comes_before_patterns_and_patterns_in_their_order() -> None:
    configuration = Configuration(
        active={name: Active("v1") for name in ("web", "db", "any")},
        patterns=(("web-*", "web"), ("*", "any")),
        entities={"web-7": "db"},
    )
    assert [configuration.assigned(e) for e in ("web-7", "web-8", "x")] == ["db", "web", "any"]
    assert Configuration.decode(configuration.encode()) == configuration
