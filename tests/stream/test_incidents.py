"""Incidents as Redis keeps them, written by real commits of a real stream."""

import asyncio
import dataclasses
import shutil
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import msgspec
import numpy as np
import pytest
from redis import Redis

from service.errors import BadCursor, BadInput, UnknownBundle, UnknownIncident
from service.scoring.fold import Fold
from service.stream.hearing import Listeners
from service.stream.incident_messages import Note, Wanted
from service.stream.incidents import Incidents, Said
from service.stream.ingest import Ingest
from service.stream.keys import incident_keys
from service.stream.lanes import Lanes
from service.stream.messages import Alert, Point, Verdict
from service.stream.models import Models
from service.stream.replay import packed_file, read_file, replay
from service.stream.rollout import Rollout
from service.stream.store import Store, StoreOptions
from service.stream.view import rows_of
from tests.builders import ENTITIES, START_MS, another_version, series_like

OPTIONS = StoreOptions(durability="everysec", incidents_kept=6, shards=2)
FAULTS = (60, 120, 180, 240)  # rows where one opens
FAULT_ROWS = 12


@pytest.fixture
def store(redis_url: str) -> Iterator[Store]:
    with closing(Store(redis_url, OPTIONS)) as store:
        store.check()
        yield store


@pytest.fixture
def models(bundle_folder: Path) -> Models:
    return Models(bundle_folder, default="tiny")


def faulty(entity: str, count: int = 300) -> list[Point]:
    series = series_like(entity, count)
    for first in FAULTS:
        series.values[first : first + FAULT_ROWS, 1] += 5.0 + np.arange(FAULT_ROWS) % 3
    rows = zip(series.timestamps_ms.tolist(), series.values.tolist(), strict=True)
    return [Point(entity, time, values) for time, values in rows]


async def sent(
    store: Store, models: Models, *, size: int, listeners: Listeners | None = None
) -> list[Verdict]:
    """Verdicts on all points of both entities, in requests of so many points of each."""
    verdicts = []
    async with Ingest(store, models, listeners=listeners) as ingest:
        points = [faulty(entity) for entity in ENTITIES]
        for start in range(0, len(points[0]), size):
            batch = [point for own in points for point in own[start : start + size]]
            verdicts += await ingest.submit(batch)
    return verdicts


@pytest.mark.parametrize("size", [1, 7, 300])
def test_incidents_are_listed_newest_first_as_the_verdicts_tell_them(
    store: Store, models: Models, size: int
) -> None:
    store.options = dataclasses.replace(OPTIONS, incidents_kept=1_000)
    verdicts = asyncio.run(sent(store, models, size=size))
    told = {verdict.incident for verdict in verdicts if verdict.transition == "opened"}
    page = Incidents(store).page(Wanted(), limit=500, after=None)
    assert page.next is None
    assert {one.incident for one in page.incidents} == told
    assert len(told) >= len(FAULTS) * len(ENTITIES)
    order = [(one.opened_ms, one.incident) for one in page.incidents]
    assert order == sorted(order, reverse=True)
    assert all(one.alert.causes for one in page.incidents)


@pytest.mark.parametrize("size", [1, 7, 300])
def test_an_incident_has_the_newest_alert_and_the_last_before_its_end(
    store: Store, models: Models, size: int
) -> None:
    told: list[Alert] = []

    def hear(_: Sequence[Verdict], alerts: Sequence[bytes]) -> None:
        told.extend(msgspec.json.decode(alert, type=Alert) for alert in alerts)

    store.options = dataclasses.replace(OPTIONS, incidents_kept=1_000)
    asyncio.run(sent(store, models, size=size, listeners=Listeners(on_told=hear)))
    kept = Incidents(store).page(Wanted(), limit=500, after=None).incidents
    assert kept
    for one in kept:
        mine = [alert for alert in told if alert.incident == one.incident]
        assert one.alert == mine[-1]
        assert one.worst == [alert for alert in mine if alert.kind != "resolved"][-1]
        assert one.worst.peak_score == max(alert.peak_score for alert in mine[:-1])


def test_pages_join_to_the_whole_whatever_their_length(store: Store, models: Models) -> None:
    store.options = dataclasses.replace(OPTIONS, incidents_kept=1_000)
    asyncio.run(sent(store, models, size=50))
    incidents = Incidents(store)
    whole = incidents.page(Wanted(), limit=500, after=None).incidents
    for limit in (1, 2, 3):
        joined, after = [], None
        while True:
            page = incidents.page(Wanted(), limit=limit, after=after)
            joined += page.incidents
            after = page.next
            if after is None:
                break
        assert joined == whole
    with pytest.raises(BadCursor):
        incidents.page(Wanted(), limit=1, after="x")


def test_only_what_is_wanted_is_listed(store: Store, models: Models) -> None:
    asyncio.run(sent(store, models, size=50))
    incidents = Incidents(store)
    of_beta = incidents.page(Wanted(entity="beta"), limit=500, after=None).incidents
    assert {one.entity for one in of_beta} == {"beta"}
    late = START_MS + FAULTS[-1] * 60_000
    recent = incidents.page(Wanted(since_ms=late), limit=500, after=None).incidents
    assert {one.opened_ms >= late for one in recent} == {True}
    assert incidents.page(Wanted(is_open=True), limit=500, after=None).incidents == []


def test_the_oldest_make_room_and_leave_nothing_behind(
    store: Store, models: Models, redis_url: str
) -> None:
    verdicts = asyncio.run(sent(store, models, size=20))
    told = [v.incident for v in verdicts if v.transition == "opened" and v.incident is not None]
    kept = {
        one.incident for one in Incidents(store).page(Wanted(), limit=500, after=None).incidents
    }
    assert len(kept) <= OPTIONS.incidents_kept * OPTIONS.shards
    with Redis.from_url(redis_url) as client:
        records = set(client.scan_iter(b"gw:*:i:*"))
        expected = {incident_keys(n.rpartition("@")[0], n, OPTIONS.shards)[0] for n in kept}
        assert records == expected
        assert all(client.ttl(key) > 0 for key in records)
    assert set(told) >= kept


def test_what_people_say_is_kept_and_joined(store: Store, models: Models) -> None:
    asyncio.run(sent(store, models, size=50))
    incidents = Incidents(store)
    name = incidents.page(Wanted(), limit=1, after=None).incidents[0].incident
    text = 'a "deployment"\n\\ / ünïcödé 🙂 \u2028 \x00 ' + "x" * 2_000
    first = incidents.annotate(name, Said(is_acknowledged=True, by="ann"))
    said = incidents.annotate(name, Said(label="false", text=text))
    assert (first.before, said.before) == (Note(), first.incident.note)
    assert said.incident.note == Note(is_acknowledged=True, label="false", by="ann", text=text)
    labelled = incidents.page(Wanted(label="false"), limit=9, after=None).incidents
    assert [one.incident for one in labelled] == [name]
    for unknown in ("nobody@1", "alpha", ""):
        with pytest.raises(UnknownIncident):
            incidents.annotate(unknown, Said(label="true"))


def test_what_people_said_is_taken_back_by_name(store: Store, models: Models) -> None:
    asyncio.run(sent(store, models, size=50))
    incidents = Incidents(store)
    name = incidents.page(Wanted(), limit=1, after=None).incidents[0].incident
    incidents.annotate(name, Said(is_acknowledged=True, label="true", by="ann", text="disk"))
    for said, note in (
        (Said(is_acknowledged=False), Note(label="true", by="ann", text="disk")),
        (Said(label=None), Note(by="ann", text="disk")),
        (Said(by=None, text="fan"), Note(text="fan")),
        (Said(), Note(text="fan")),
        (Said(text=None), Note()),
        (Said(label="false"), Note(label="false")),
    ):
        assert incidents.annotate(name, said).incident.note == note
    assert incidents.page(Wanted(label="true"), limit=9, after=None).incidents == []


def test_a_record_says_once_that_its_last_rows_are_missing(
    store: Store, tmp_path: Path, bundle_folder: Path
) -> None:
    """Rows of another layout are not kept, however many commits bring some."""
    folder = Path(shutil.copytree(bundle_folder / "tiny", tmp_path / "tiny")).parent
    models = Models(folder, default="tiny")
    rollout = Rollout(store, models)
    points = faulty("alpha")[: FAULTS[0] + FAULT_ROWS]

    async def follow() -> str:
        await rollout.start()
        async with Ingest(store, models) as ingest:
            await ingest.submit(points[: FAULTS[0]])
            opened = [v for v in await ingest.submit(points[FAULTS[0] : -8]) if v.incident]
            await rollout.change(lambda now: now.activated("tiny", another_version(folder)))
            for point in points[-8:]:
                (verdict,) = await ingest.submit([point])
                assert verdict.incident == opened[-1].incident
            return str(opened[-1].incident)

    record = Incidents(store).record(asyncio.run(follow()))
    assert record.layout.endswith(" ends")
    assert not record.is_whole
    assert record.layout.count(" ends") == 1


@pytest.mark.parametrize("size", [1, 9, 300])
def test_every_incident_is_replayed_bit_for_bit(
    store: Store, models: Models, fold: Fold, tmp_path: Path, size: int
) -> None:
    verdicts = asyncio.run(sent(store, models, size=size))
    incidents = Incidents(store)
    for one in incidents.page(Wanted(), limit=500, after=None).incidents:
        path = tmp_path / "incident.npz"
        path.write_bytes(packed_file(incidents.record(one.incident)))
        file = read_file(path)
        replayed = replay(file, fold)
        assert file.is_whole
        assert replayed.differing == []
        mine = [v for v in verdicts if v.incident == one.incident]
        inside = replayed.again["opened_ms"] == one.opened_ms
        assert replayed.again["score"][inside].tolist() == [v.score for v in mine]


@pytest.mark.parametrize("size", [1, 7, 50, 300])
def test_the_points_of_an_incident_are_those_answered_and_some_before(
    store: Store, models: Models, size: int
) -> None:
    """Whole requests from the one that opened it, and 16 points before, as the ring has them."""
    verdicts = {(v.entity, v.timestamp_ms): v for v in asyncio.run(sent(store, models, size=size))}
    incidents, lanes = Incidents(store), Lanes(models, max_entities=4_096, silence_periods=0)
    capacity = lanes.of(models.serving.folds["tiny"]).layout.capacity
    for one in incidents.page(Wanted(), limit=500, after=None).incidents:
        found = rows_of(lanes.wrote, incidents.record(one.incident))
        assert (found.incident, found.entity, found.is_whole) == (one.incident, one.entity, True)
        times = [row.timestamp_ms for row in found.window]
        mine = [v for v in verdicts.values() if v.incident == one.incident]
        opened = (one.opened_ms - START_MS) // 60_000
        request = opened // size * size
        first = max(0, request - max(0, min(16, capacity - size)))
        end = mine[-1].timestamp_ms + (0 if mine[-1].transition else 60_000)
        assert times == [*range(START_MS + first * 60_000, end, 60_000), end]
        points = {point.timestamp_ms: point for point in faulty(one.entity)}
        for row in found.window:
            verdict, point = verdicts[one.entity, row.timestamp_ms], points[row.timestamp_ms]
            assert (row.score, row.severity) == (verdict.score, verdict.severity)
            assert (row.is_anomaly, row.causes) == (verdict.is_anomaly, verdict.contributions)
            assert row.values == pytest.approx(point.values, rel=1e-6)


def test_the_points_of_an_incident_go_with_their_bundle(
    store: Store, models: Models, tmp_path: Path, bundle_folder: Path
) -> None:
    asyncio.run(sent(store, models, size=50))
    incidents = Incidents(store)
    name = incidents.page(Wanted(), limit=1, after=None).incidents[0].incident
    with pytest.raises(UnknownBundle, match="gone"):
        rows_of(lambda _: None, incidents.record(name))


def test_another_bundle_or_a_damaged_file_is_refused(
    store: Store, models: Models, fold: Fold, tmp_path: Path
) -> None:
    asyncio.run(sent(store, models, size=50))
    incidents = Incidents(store)
    name = incidents.page(Wanted(), limit=1, after=None).incidents[0].incident
    whole = packed_file(incidents.record(name))
    path = tmp_path / "incident.npz"
    path.write_bytes(whole)
    with pytest.raises(BadInput, match="digest"):
        replay(dataclasses.replace(read_file(path), digest="0" * 64), fold)
    for damaged in (b"", whole[: len(whole) // 2], b"PK" + whole[9:]):
        path.write_bytes(damaged)
        with pytest.raises(BadInput, match="not the file"):
            read_file(path)
