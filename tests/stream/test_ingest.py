import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from redis import Redis

from service.errors import BadPoints, BodyTooLarge, StoreUnavailable, UnknownEntity
from service.scoring.fold import Fold
from service.scoring.offline import Scored, score_series
from service.scoring.series import Series
from service.stream.batcher import MAX_STEPS
from service.stream.ingest import Ingest, Limits
from service.stream.keys import alert_stream_key, entity_keys
from service.stream.lane import IDEMPOTENT_ROWS, MIN_WINDOW_ROWS
from service.stream.messages import Alert, Point, Verdict
from service.stream.models import Models
from service.stream.store import Store, StoreOptions
from tests.builders import ENTITIES, NEED, START_MS, series_like

SHARDS = 8


@pytest.fixture
def store(redis_url: str) -> Iterator[Store]:
    store = Store(redis_url, StoreOptions(durability="everysec", shards=SHARDS))
    store.check()
    yield store
    store.close()


@pytest.fixture
def models(bundle_folder: Path) -> Models:
    return Models(bundle_folder, default="tiny")


def points_of(series: Series, *, start: int = 0, end: int | None = None) -> list[Point]:
    rows = zip(series.timestamps_ms.tolist(), series.values.tolist(), strict=True)
    points = [
        Point(series.entity, time, [None if value != value else value for value in values])
        for time, values in rows
    ]
    return points[start:end]


def faulty(entity: str, count: int = 160, *, seed: int = 1) -> Series:
    series = series_like(entity, count, seed=seed)
    series.values[90:100, 1] += 4.0
    series.values[120:130, 2] = np.nan
    return series


def interleaved(series: list[Series]) -> list[Point]:
    rows = zip(*(points_of(one) for one in series), strict=True)
    return [point for row in rows for point in row]


async def send(ingest: Ingest, points: list[Point], *, size: int = 50) -> list[Verdict]:
    verdicts = []
    for start in range(0, len(points), size):
        verdicts += await ingest.submit(points[start : start + size])
    return verdicts


def alerts_in(redis_url: str) -> list[Alert]:
    with Redis.from_url(redis_url) as client:
        entries = [
            fields
            for shard in range(SHARDS)
            for _, fields in client.xrange(alert_stream_key(shard))
        ]
    return [msgspec.json.decode(fields[b"alert"], type=Alert) for fields in entries]


def assert_equal_offline(verdicts: list[Verdict], scored: Scored, entity: str) -> None:
    mine = [verdict for verdict in verdicts if verdict.entity == entity]
    found = [np.nan if verdict.score is None else verdict.score for verdict in mine]
    assert np.array(found).tobytes() == scored.score.tobytes()
    assert [verdict.is_anomaly for verdict in mine] == scored.is_anomaly.tolist()
    assert [verdict.status for verdict in mine] == scored.status.tolist()


async def test_the_stream_scores_as_the_offline_run(
    store: Store, models: Models, fold: Fold
) -> None:
    series = [faulty(entity) for entity in ENTITIES]
    async with Ingest(store, models) as ingest:
        verdicts = await send(ingest, interleaved(series), size=37)
    for one, scored in zip(series, score_series(fold, series), strict=True):
        assert_equal_offline(verdicts, scored, one.entity)


async def test_alerts_equal_the_offline_incidents_with_causes(
    store: Store, models: Models, fold: Fold, redis_url: str
) -> None:
    series = [faulty(entity) for entity in ENTITIES]
    async with Ingest(store, models) as ingest:
        await send(ingest, interleaved(series))
    alerts = alerts_in(redis_url)
    told = [
        (one.entity, int(one.timestamps_ms[told.row]))
        for one, scored in zip(series, score_series(fold, series), strict=True)
        for told in scored.told
    ]
    assert sorted((alert.entity, alert.timestamp_ms) for alert in alerts) == sorted(told)
    assert len({alert.id for alert in alerts}) == len(alerts)
    opened = next(alert for alert in alerts if alert.timestamp_ms == START_MS + 90 * 60_000)
    assert opened.kind == "opened"
    cause = opened.causes[0]
    assert cause.dimension == "b"
    assert cause.value is not None
    assert cause.deviation == pytest.approx(cause.value - cause.expected, abs=1e-5)
    assert "b" in opened.summary


async def test_warming_says_have_and_need_and_no_score(store: Store, models: Models) -> None:
    async with Ingest(store, models) as ingest:
        verdicts = await ingest.submit(points_of(series_like("alpha", NEED)))
    assert [(v.have, v.need) for v in verdicts[:-1]] == [(n, NEED) for n in range(1, NEED)]
    assert [v.score for v in verdicts[:-1]] == [None] * (NEED - 1)
    assert verdicts[-1].status == "scored"


async def test_a_repeated_point_gets_its_first_answer(store: Store, models: Models) -> None:
    points = points_of(faulty("alpha", 110))
    async with Ingest(store, models) as ingest:
        first = await ingest.submit(points)
        again = await ingest.submit(points)
    assert [msgspec.structs.replace(v, status="duplicate") for v in first] == again


async def test_a_repeat_after_a_restart_gets_the_same_answer(store: Store, models: Models) -> None:
    points = points_of(faulty("alpha", 110))
    async with Ingest(store, models) as ingest:
        first = await ingest.submit(points)
    async with Ingest(store, models) as ingest:
        again = await ingest.submit(points)
    assert [msgspec.structs.replace(v, status="duplicate") for v in first] == again


async def test_other_values_at_a_known_time_are_a_conflict(store: Store, models: Models) -> None:
    points = points_of(series_like("alpha", 8))
    async with Ingest(store, models) as ingest:
        first = await ingest.submit(points)
        changed = Point("alpha", points[5].timestamp_ms, [9.0, 9.0, 9.0, 9.0])
        [verdict] = await ingest.submit([changed])
    assert (verdict.status, verdict.reason) == ("conflict", "first_values_win")
    assert verdict.score == first[5].score


async def test_a_point_between_known_points_is_late(store: Store, models: Models) -> None:
    points = points_of(series_like("alpha", 8))
    async with Ingest(store, models) as ingest:
        await ingest.submit(points)
        late = Point("alpha", points[5].timestamp_ms + 1, points[5].values)
        [verdict] = await ingest.submit([late])
    assert (verdict.status, verdict.reason) == ("late", "older_than_newest")


async def test_a_repeat_beyond_the_kept_rows_is_late(store: Store, models: Models) -> None:
    points = points_of(series_like("alpha", 400))
    async with Ingest(store, models) as ingest:
        await ingest.submit(points)
        statuses = [verdict.status for verdict in await ingest.submit(points)]
    kept = MIN_WINDOW_ROWS + IDEMPOTENT_ROWS
    assert statuses == ["late"] * (400 - kept) + ["duplicate"] * kept


async def test_points_of_a_request_are_sorted_by_time(store: Store, models: Models) -> None:
    points = points_of(series_like("alpha", 60))
    async with Ingest(store, models) as ingest:
        backward = await ingest.submit(points[::-1])
        store.delete(["alpha"])
    async with Ingest(store, models) as ingest:
        forward = await ingest.submit(points)
    assert backward[::-1] == forward


async def test_a_missing_value_is_reported_and_scored_around(store: Store, models: Models) -> None:
    points = points_of(series_like("alpha", 20))
    named = Point("alpha", points[-1].timestamp_ms + 1, {"a": 0.1, "c": None})
    async with Ingest(store, models) as ingest:
        await ingest.submit(points)
        [verdict] = await ingest.submit([named])
    assert verdict.missing == ["b", "c", "d"]
    assert verdict.score is not None


async def test_a_value_out_of_range_is_rejected_alone(store: Store, models: Models) -> None:
    points = points_of(series_like("alpha", 6))
    points[2] = Point("alpha", points[2].timestamp_ms, [1e31, 0.0, 0.0, 0.0])
    async with Ingest(store, models) as ingest:
        verdicts = await ingest.submit(points)
    assert [verdict.status for verdict in verdicts].count("rejected") == 1
    assert verdicts[2].reason == "value_out_of_range"


async def test_points_that_do_not_fit_are_all_listed_and_nothing_is_kept(
    store: Store, models: Models
) -> None:
    points = points_of(series_like("alpha", 4))
    bad = [Point("alpha", 1, [1.0]), points[0], Point("beta", 2, {"e": 1.0})]
    async with Ingest(store, models) as ingest:
        with pytest.raises(BadPoints) as caught:
            await ingest.submit(bad)
    assert [error["index"] for error in caught.value.errors] == [0, 2]
    codes = [error["code"] for error in caught.value.errors]
    assert codes == ["wrong_dimension_count", "unknown_dimension"]
    assert store.load(["alpha", "beta"]) == [None, None]


async def test_an_unknown_entity_gets_verdicts_but_no_alerts(
    store: Store, models: Models, redis_url: str
) -> None:
    points = points_of(faulty("gamma"))
    async with Ingest(store, models) as ingest:
        verdicts = await send(ingest, points)
    assert {verdict.status for verdict in verdicts} == {"warming", "calibrating"}
    assert any(verdict.is_anomaly for verdict in verdicts)
    assert alerts_in(redis_url) == []


async def test_the_view_of_an_entity_shows_its_window(store: Store, models: Models) -> None:
    points = points_of(faulty("alpha", 95))
    async with Ingest(store, models) as ingest:
        verdicts = await send(ingest, points)
        view = await ingest.entity("alpha", rows=10)
        with pytest.raises(UnknownEntity):
            await ingest.entity("beta", rows=10)
    assert (view.points, view.status, len(view.window)) == (95, "scored", 10)
    assert [row.score for row in view.window] == [verdict.score for verdict in verdicts[-10:]]
    assert view.window[-1].values == pytest.approx(points[-1].values, rel=1e-5)
    assert view.incident == verdicts[-1].incident is not None


async def test_entities_that_leave_memory_come_back_as_they_were(
    redis_url: str, store: Store, models: Models, fold: Fold
) -> None:
    alpha = faulty("alpha")
    others = [points_of(series_like(f"other-{n}", 4, seed=n)) for n in range(600)]
    async with Ingest(store, models, limits=Limits(max_entities=512)) as ingest:
        verdicts = []
        for turn in range(4):
            verdicts += await ingest.submit(points_of(alpha, start=40 * turn, end=40 * turn + 40))
            await ingest.submit([other[turn] for other in others])
            assert ingest.entities <= 512
    [scored] = score_series(fold, [alpha])
    assert_equal_offline(verdicts, scored, "alpha")


@pytest.mark.parametrize("damage", ["snapshot", "ring", "both"])
async def test_a_damaged_entity_starts_again_and_disturbs_nobody(
    store: Store, models: Models, redis_url: str, damage: str
) -> None:
    points = iter(points_of(series_like("alpha", 80)))
    others = points_of(series_like("beta", 60))
    async with Ingest(store, models) as ingest:
        await ingest.submit([next(points) for _ in range(40)])
        while (stored := store.load(["alpha"])[0]) is not None and not stored.rows:
            await ingest.submit([next(points)])
    ring, snapshot = entity_keys("alpha", SHARDS)
    with Redis.from_url(redis_url) as client:
        assert client.exists(ring)
        gone = {"snapshot": [snapshot], "ring": [ring], "both": [ring, snapshot]}[damage]
        client.delete(*gone)
    rest = list(points)[:20]
    async with Ingest(store, models) as ingest:
        verdicts = await ingest.submit([*others[:40], *rest])
        view = await ingest.entity("alpha", rows=10)
    assert [verdict.status for verdict in verdicts[:40]].count("scored") == 41 - NEED
    statuses = [verdict.status for verdict in verdicts[40:]]
    assert statuses == ["warming"] * (NEED - 1) + ["scored"] * (21 - NEED)
    assert view.window[-1].timestamp_ms == rest[-1].timestamp_ms


async def test_points_that_redis_lost_are_taken_again(
    store: Store, models: Models, fold: Fold, redis_url: str
) -> None:
    series = faulty("alpha", 110)
    points = points_of(series)
    keys = entity_keys("alpha", SHARDS)
    async with Ingest(store, models) as ingest:
        first = await ingest.submit(points[:100])
        with Redis.from_url(redis_url) as client:
            before = {key: client.dump(key) for key in keys if client.exists(key)}
            lost = await ingest.submit(points[100:])
            for key, value in before.items():
                client.restore(key, 0, value, replace=True)
        again = await ingest.submit(points[100:])
    assert again == lost
    [scored] = score_series(fold, [series])
    assert_equal_offline([*first, *again], scored, "alpha")


async def test_too_many_points_of_one_entity_are_refused(store: Store, models: Models) -> None:
    points = points_of(series_like("alpha", MAX_STEPS + 1))
    async with Ingest(store, models) as ingest:
        with pytest.raises(BodyTooLarge, match=str(MAX_STEPS)):
            await ingest.submit(points)
        assert len(await ingest.submit(points[:-1])) == MAX_STEPS


async def test_a_store_that_is_away_is_asked_once_per_batch(models: Models) -> None:
    away = Store("redis://127.0.0.1:1", StoreOptions(budget_seconds=1.0))
    many = [Point(f"other-{n}", START_MS, [0.0] * 4) for n in range(1600)]  # four calls' worth
    async with Ingest(away, models) as ingest:
        start = time.monotonic()
        with pytest.raises(StoreUnavailable):
            await ingest.submit(many)
        assert time.monotonic() - start < 3.0  # not a second for each of the four calls
        assert ingest.queued_points == 0


class Turn(NamedTuple):
    """What happens to the next points."""

    size: int
    replica: int
    is_repeated: bool
    is_restarted: bool


rarely = st.sampled_from([False, False, False, False, True])
turns = st.builds(Turn, st.integers(1, 90), st.integers(0, 1), st.booleans(), rarely)


@pytest.mark.slow
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(turns=st.lists(turns, min_size=1, max_size=40))
async def test_replicas_taking_turns_with_restarts_and_repeats_score_as_one(
    turns: list[Turn], store: Store, models: Models, fold: Fold, redis_url: str
) -> None:
    with Redis.from_url(redis_url) as client:
        for shard in range(SHARDS):
            client.delete(alert_stream_key(shard))
    store.delete(ENTITIES)
    series = [faulty(entity) for entity in ENTITIES]
    points = interleaved(series)
    replicas = [Ingest(store, models), Ingest(store, models)]
    for replica in replicas:
        await replica.__aenter__()
    verdicts: list[Verdict] = []
    start = 0
    enough = itertools.takewhile(lambda _: start < len(points), itertools.cycle(turns))
    for size, which, is_repeated, is_restarted in enough:
        end = start + size
        verdicts += await replicas[which].submit(points[start:end])
        if is_repeated:
            again = await replicas[1 - which].submit(points[start:end])
            assert {verdict.status for verdict in again} == {"duplicate"}
        if is_restarted:
            await replicas[which].__aexit__(None, None, None)
            replicas[which] = await Ingest(store, models).__aenter__()
        start = end
    for replica in replicas:
        await replica.__aexit__(None, None, None)
    expected = score_series(fold, series)
    for one, scored in zip(series, expected, strict=True):
        assert_equal_offline(verdicts, scored, one.entity)
    ids = [alert.id for alert in alerts_in(redis_url)]
    assert len(ids) == len(set(ids)) == sum(len(scored.told) for scored in expected)
