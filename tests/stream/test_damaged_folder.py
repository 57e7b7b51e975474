"""A folder of bundles that lost something: everybody else is served as before."""

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from service.scoring.bundle import load_bundle
from service.stream.configuration import Configuration
from service.stream.ingest import Ingest, Limits
from service.stream.models import Models
from service.stream.policy import Policies, Policy
from service.stream.store import Store, StoreOptions
from tests.builders import another_version
from tests.stream.test_lateness import Clock, points_like


@pytest.fixture
def store(redis_url: str) -> Iterator[Store]:
    with closing(Store(redis_url, StoreOptions(durability="everysec", shards=2))) as store:
        store.check()
        yield store


@pytest.fixture
def folder(bundle_folder: Path, tmp_path: Path) -> Path:
    shutil.copytree(bundle_folder / "tiny", tmp_path / "bundles" / "tiny")
    return tmp_path / "bundles"


def served(folder: Path, configuration: Configuration | None = None) -> Models:
    models = Models(folder, default="tiny")
    known = models.configured(configuration or models.serving.configuration)
    models.adopt(2, known)
    return models


def test_an_assignment_to_a_bundle_that_is_gone_is_as_if_it_were_not_there(folder: Path) -> None:
    known = Models(folder, default="tiny").serving.configuration
    assigned = msgspec.structs.replace(
        known, patterns=(("web-*", "gone"),), entities={"alpha": "gone"}
    )
    serving = served(folder, assigned).serving
    assert [serving.name_of(entity) for entity in ("web-1", "alpha", "other")] == ["tiny"] * 3


def test_a_shadow_that_cannot_be_opened_is_left_out(folder: Path) -> None:
    known = Models(folder, default="tiny").serving.configuration
    models = served(folder, known.shadowed("tiny", "0" * 12))
    assert models.serving.shadows == {}
    assert list(models.serving.folds) == ["tiny"]


def test_a_version_that_is_rolled_back_to_is_no_shadow_any_more(folder: Path) -> None:
    first, second = load_bundle(folder / "tiny").manifest.version, another_version(folder)
    known = Models(folder, default="tiny").serving.configuration
    both = known.activated("tiny", second).shadowed("tiny", first)
    assert both.shadows == {"tiny": first}
    assert both.rolled_back("tiny").shadows == {}


async def test_entities_of_a_damaged_version_start_again_and_stop_nobody(
    folder: Path, store: Store
) -> None:
    """One was scored last by a version whose graph is lost; another one holds points."""
    first, second = load_bundle(folder / "tiny").manifest.version, another_version(folder)
    clock, limits = Clock(), Limits(silence_periods=10.0)
    points = points_like("alpha", 40)
    async with Ingest(store, served(folder), limits=limits, clock_ms=clock) as ingest:
        await ingest.submit(points[:30])
    (folder / "tiny" / first / "step.onnx").unlink()
    (folder / "tiny" / "current").write_text(second + "\n")
    patient = Policies(entities={"beta": Policy(lateness_seconds=60.0)})
    known = Models(folder, default="tiny").serving.configuration.with_policies(patient)
    models = served(folder, known)
    async with Ingest(store, models, limits=limits, clock_ms=clock) as ingest:
        verdicts = await ingest.submit(points_like("beta", 1))
        assert verdicts[0].status == "held"
        clock.now_ms += 3_600_000
        await ingest.tick()
        assert (await ingest.entity("beta", rows=1)).points == 1
        (again,) = await ingest.submit(points[30:31])
    assert (again.status, again.have) == ("warming", 1)
