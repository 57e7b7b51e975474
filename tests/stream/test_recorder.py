import dataclasses
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from service.errors import SettingInvalid
from service.scoring.bundle import load_bundle, write_manifest
from service.scoring.series import Series, read_folder
from service.stream.hearing import Listeners
from service.stream.ingest import Ingest
from service.stream.messages import Point
from service.stream.models import Models
from service.stream.recorder import Pace, Recorder
from service.stream.recording import DAY_SECONDS, Recorded, Recording
from service.stream.store import Store, StoreOptions
from tests.builders import DIMENSIONS, START_MS, series_like

OTHER = ("w", "x", "y", "z")  # dimensions of the second bundle
FOUR = ("alpha", "beta", "gamma", "first")  # the last is of the second bundle
numbers = st.floats(-1e30, 1e30)


@pytest.fixture
def store(redis_url: str) -> Iterator[Store]:
    store = Store(redis_url, StoreOptions(durability="everysec", shards=8))
    store.check()
    yield store
    store.close()


@pytest.fixture(scope="session")
def two_bundles(bundle_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`tiny`, and `other` with other names of the dimensions, trained on nobody we know."""
    root = tmp_path_factory.mktemp("two")
    shutil.copytree(bundle_folder / "tiny", root / "tiny")
    bundle = load_bundle(bundle_folder / "tiny")
    folder = root / "other" / "draft"
    shutil.copytree(bundle.folder, folder)
    change = {"name": "other", "dimensions": OTHER, "entities": ("first", "second")}
    manifest = write_manifest(folder, bundle.manifest.model_copy(update=change))
    folder.rename(folder.parent / manifest.version)
    (root / "other" / "current").write_text(manifest.version + "\n")
    return root


@contextmanager
def recording_into(
    folder: Path, *, points: int = 100_000, seconds: float = 300.0, backlog: int = 200_000
) -> Iterator[Recorder]:
    recorder = Recorder(Recording(folder, keep_days=30), Pace(points, seconds, backlog))
    recorder.start()
    try:
        yield recorder
    finally:
        recorder.stop()


def points_of(series: Series) -> list[Point]:
    rows = zip(series.timestamps_ms.tolist(), series.values.tolist(), strict=True)
    return [Point(series.entity, time, [None if v != v else v for v in row]) for time, row in rows]


def recorded(folder: Path) -> dict[tuple[str, int], object]:
    """What is read back."""
    return posted([point for series in read_folder(folder) for point in points_of(series)])


def posted(points: list[Point]) -> dict[tuple[str, int], object]:
    return {(point.entity, point.timestamp_ms): point.values for point in points}


def files_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


rows_of_values = st.lists(st.none() | numbers, min_size=4, max_size=4)
rows = st.lists(st.tuples(st.sampled_from(FOUR), rows_of_values), min_size=1, max_size=8)
requests = st.tuples(rows, st.booleans())  # and whether it is sent again


@pytest.mark.slow
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(pace=st.sampled_from([1, 7, 100_000]), requests=st.lists(requests, min_size=1, max_size=5))
async def test_what_was_posted_is_what_is_read_back(
    pace: int,
    requests: list[tuple[list[tuple[str, list[float | None]]], bool]],
    store: Store,
    two_bundles: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Whatever the values, the sizes of requests and files, repeats, and which bundle it was."""
    folder = tmp_path_factory.mktemp("recording")
    store.delete(FOUR)
    points: dict[str, list[Point]] = {"tiny": [], "other": []}
    with recording_into(folder, points=pace, seconds=0.05) as recorder:
        models = Models(two_bundles, default="tiny")
        async with Ingest(store, models, listeners=Listeners(recorder=recorder)) as ingest:
            for number, (rows, is_repeated) in enumerate(requests):
                request = [
                    Point(entity, START_MS + 1000 * number + place, values)
                    for place, (entity, values) in enumerate(rows)
                ]
                for point in request:
                    points["other" if point.entity == "first" else "tiny"].append(point)
                await ingest.submit(request)
                if is_repeated:
                    await ingest.submit(request)
    for bundle, own in points.items():
        found = recorded(folder / bundle) if own else {}
        assert found == posted(own)
    assert recorder.counts == {"written": sum(map(len, points.values())), "lost": 0}


async def test_only_what_is_kept_is_recorded(
    store: Store, two_bundles: Path, tmp_path: Path
) -> None:
    good = points_of(series_like("alpha", 20))
    late = Point("alpha", START_MS - 1, [0.0] * 4)
    huge = Point("alpha", START_MS + 10**9, [1e31, 0.0, 0.0, 0.0])
    changed = Point("alpha", good[3].timestamp_ms, [9.0] * 4)
    with recording_into(tmp_path) as recorder:
        models = Models(two_bundles, default="tiny")
        async with Ingest(store, models, listeners=Listeners(recorder=recorder)) as ingest:
            statuses = [one.status for one in await ingest.submit(good)]
            statuses += [one.status for one in await ingest.submit([late, huge, changed, *good])]
    assert {"late", "rejected", "conflict", "duplicate"} <= set(statuses)
    assert recorded(tmp_path) == posted(good)


async def test_two_replicas_that_share_a_folder_record_each_point_once(
    store: Store, two_bundles: Path, tmp_path: Path
) -> None:
    points = points_of(series_like("alpha", 60))
    models = Models(two_bundles, default="tiny")
    with recording_into(tmp_path) as one, recording_into(tmp_path) as two:
        async with (
            Ingest(store, models, listeners=Listeners(recorder=one)) as here,
            Ingest(store, models, listeners=Listeners(recorder=two)) as there,
        ):
            for start in range(0, 60, 10):  # what the other went on with is stale here at first
                replica, other = (here, there) if start % 20 else (there, here)
                await replica.submit(points[start : start + 10])
                await other.submit(points[start : start + 10])
    assert one.counts["written"] == two.counts["written"] == 30
    assert recorded(tmp_path) == posted(points)


async def test_dimensions_by_name_are_recorded_in_their_order(
    store: Store, two_bundles: Path, tmp_path: Path
) -> None:
    with recording_into(tmp_path) as recorder:
        models = Models(two_bundles, default="tiny")
        async with Ingest(store, models, listeners=Listeners(recorder=recorder)) as ingest:
            await ingest.submit([Point("alpha", START_MS, {"d": 4.0, "a": 0.1})])
    [series] = read_folder(tmp_path)
    assert series.dimensions == DIMENSIONS
    assert series.values.tolist()[0][::3] == [0.1, 4.0]
    assert np.isnan(series.values[0, 1:3]).all()


async def test_a_file_is_written_after_so_many_points_or_seconds(
    store: Store, two_bundles: Path, tmp_path: Path
) -> None:
    points = points_of(series_like("alpha", 60))
    models = Models(two_bundles, default="tiny")
    with recording_into(tmp_path / "many", points=50) as recorder:
        async with Ingest(store, models, listeners=Listeners(recorder=recorder)) as ingest:
            await ingest.submit(points[:49])
            assert files_in(tmp_path / "many") == []
            await ingest.submit(points[49:50])
            until(lambda: recorder.counts["written"] == 50)
    with recording_into(tmp_path / "long", seconds=0.2) as recorder:
        async with Ingest(store, models, listeners=Listeners(recorder=recorder)) as ingest:
            await ingest.submit(points[50:])
            until(lambda: recorder.counts["written"] == 10)
    [file] = files_in(tmp_path / "long")
    assert file.name.startswith(f"{points[50].timestamp_ms}-")
    assert file.parent.parent.name == "tiny"


async def test_a_disk_that_cannot_be_written_costs_the_recording_and_no_verdict(
    store: Store, two_bundles: Path, tmp_path: Path
) -> None:
    points = points_of(series_like("alpha", 60))
    models = Models(two_bundles, default="tiny")
    with recording_into(tmp_path / "gone", points=30) as recorder:
        (tmp_path / "gone").rmdir()
        (tmp_path / "gone").write_text("in the way")
        async with Ingest(store, models, listeners=Listeners(recorder=recorder)) as ingest:
            verdicts = await ingest.submit(points[:30])
            until(lambda: recorder.counts["lost"] == 30)
            (tmp_path / "gone").unlink()
            verdicts += await ingest.submit(points[30:])
    assert {verdict.status for verdict in verdicts} == {"warming", "scored"}
    assert recorder.counts == {"written": 30, "lost": 30}
    assert recorded(tmp_path / "gone") == posted(points[30:])


async def test_what_comes_too_fast_is_lost_to_the_recording_alone(
    store: Store, two_bundles: Path, tmp_path: Path
) -> None:
    points = points_of(series_like("alpha", 60))
    models = Models(two_bundles, default="tiny")
    with recording_into(tmp_path, backlog=20) as recorder:
        async with Ingest(store, models, listeners=Listeners(recorder=recorder)) as ingest:
            for start in range(0, 60, 10):
                verdicts = await ingest.submit(points[start : start + 10])
                assert {verdict.status for verdict in verdicts} <= {"warming", "scored"}
    assert recorder.counts == {"written": 20, "lost": 40}


def some_points(count: int = 5) -> Recorded:
    stamps = START_MS + np.arange(count, dtype=np.int64)
    values = np.random.default_rng(0).normal(size=(count, 1))
    return Recorded("tiny", ("a",), ["alpha"], np.zeros(count, np.int32), stamps, values)


def test_old_files_of_ours_are_removed_and_nobody_elses(tmp_path: Path) -> None:
    recording = Recording(tmp_path, keep_days=2)
    old, new = (recording.write(some_points()) for _ in range(2))
    killed = old.with_name("1-0123abcd.parquet.part")
    theirs = old.with_name("mine.parquet")
    for file, days in ((old, 2.1), (killed, 2.1), (theirs, 2.1), (new, 1.9)):
        file.touch()
        os.utime(file, (time.time() - days * DAY_SECONDS,) * 2)
    recording.prune()
    assert files_in(tmp_path) == sorted([new, theirs])


def test_a_file_that_could_not_be_written_whole_is_not_there(tmp_path: Path) -> None:
    broken = dataclasses.replace(some_points(), dimensions=("a", "b"))
    with pytest.raises(Exception, match="names"):
        Recording(tmp_path, keep_days=2).write(broken)
    assert files_in(tmp_path) == []


def test_dimensions_may_have_any_names(tmp_path: Path) -> None:
    names = ("entity", "timestamp_ms", "label", "Label", "ünï")
    values = np.arange(10.0).reshape(2, 5)
    stamps = np.array([5, 6], np.int64)
    source = Recorded("b", names, ["é"], np.zeros(2, np.int32), stamps, values)
    Recording(tmp_path, keep_days=2).write(source)
    [series] = read_folder(tmp_path)
    assert (series.entity, series.dimensions, series.label) == ("é", names, None)
    assert series.timestamps_ms.tolist() == [5, 6]
    assert (series.values == values).all()


def test_without_pyarrow_the_start_is_refused_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(SettingInvalid, match=r"gaugewatch\[parquet\]"):
        Recorder(Recording(tmp_path, keep_days=1)).start()


def test_a_folder_that_cannot_be_written_refuses_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingInvalid, match="cannot record into"):
        Recorder(Recording(tmp_path / "file", keep_days=1)).start()
