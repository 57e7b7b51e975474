"""A newer release wrote a configuration that this one cannot read: said, and lived with."""

import asyncio
import json
import shutil
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from service.errors import ConfigurationUnreadable, StoreUnavailable
from service.stream import rollout as module
from service.stream.configuration import Configuration
from service.stream.ingest import Ingest
from service.stream.messages import Point
from service.stream.models import Models
from service.stream.rollout import Rollout
from service.stream.store import Store, StoreOptions
from tests.builders import series_like


@pytest.fixture
def store(redis_url: str) -> Iterator[Store]:
    with closing(Store(redis_url, StoreOptions(durability="everysec"))) as store:
        store.check()
        yield store


@pytest.fixture
def models(tmp_path: Path, bundle_folder: Path) -> Models:
    shutil.copytree(bundle_folder / "tiny", tmp_path / "tiny")
    return Models(tmp_path, default=None)


def points_like(count: int) -> list[Point]:
    series = series_like("alpha", count)
    rows = zip(series.timestamps_ms.tolist(), series.values.tolist(), strict=True)
    return [Point("alpha", time, values) for time, values in rows]


def written_by_a_newer_release(store: Store, *, is_known: bool = False) -> None:
    epoch, document = store.configuration()
    assert document is not None
    more = {} if is_known else {"a_field_of_tomorrow": {"x": "<script>"}}
    known = {key: value for key, value in json.loads(document).items() if not key.startswith("a_")}
    assert store.configure(epoch, json.dumps(known | more).encode()) == epoch + 1


async def test_it_is_a_problem_that_is_logged_once_and_ends_with_its_reason(
    store: Store, models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "POLL_SECONDS", 0.01)
    rollout = Rollout(store.twin(), models)
    before = await rollout.start()
    written_by_a_newer_release(store)
    with capture_logs() as logs:
        following = asyncio.create_task(rollout.follow())
        await asyncio.sleep(0.2)
        assert not following.done()
        problem = rollout.problem
        written_by_a_newer_release(store, is_known=True)
        await asyncio.sleep(0.2)
    following.cancel()
    with suppress(asyncio.CancelledError):
        await following
    assert problem is not None
    assert "newer release" in problem
    assert "<script>" not in problem
    assert [log["event"] for log in logs].count("configuration cannot be followed") == 1
    assert rollout.problem is None
    assert models.serving.epoch == before.epoch + 2


async def test_serving_goes_on_and_a_commit_that_is_outdated_says_why(
    store: Store, models: Models
) -> None:
    """The other replica is of the newer release: here, one that skips what it does not know."""
    rollout = Rollout(store.twin(), models)
    serving = await rollout.start()
    newer = Models(models.folder, default=None)
    points = points_like(60)
    async with Ingest(store, models) as ours, Ingest(store.twin(), newer) as theirs:
        await ours.submit(points[:20])
        written_by_a_newer_release(store)
        verdicts = await ours.submit(points[20:40])
        newer.adopt(serving.epoch + 1, serving.configuration)
        await theirs.submit(points[40:50])
        with pytest.raises(StoreUnavailable, match="newer release"):
            await ours.submit(points[50:])
        assert (await theirs.submit(points[50:]))[-1].status == "scored"
    assert verdicts[-1].status == "scored"


async def test_a_start_and_a_change_under_it_are_refused(store: Store, models: Models) -> None:
    rollout = Rollout(store.twin(), models)
    await rollout.start()
    written_by_a_newer_release(store)
    epoch, document = store.configuration()
    with pytest.raises(ConfigurationUnreadable):
        await rollout.change(lambda known: known.with_entities({"x": "tiny"}))
    with pytest.raises(ConfigurationUnreadable):
        await Rollout(store.twin(), Models(models.folder, default=None)).start()
    assert store.configuration() == (epoch, document)


@pytest.mark.parametrize(
    "document",
    [b"", b"{", b"[]", b'{"x": 1}', b'{"active": 3}', b'{"policies": {"y": 1}}', b"\xff"],
)
def test_what_is_no_configuration_is_refused_in_words_of_our_own(document: bytes) -> None:
    with pytest.raises(ConfigurationUnreadable, match="newer release"):
        Configuration.decode(document)
