"""Every kind of model streams as it scores: one service, a bundle of each, real sockets."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from service.scoring.bundle import Bundle
from service.scoring.series import Series
from tests.cli.commands import gaugewatch, series_file
from tests.system.processes import Service
from tests.system.test_stream import assert_same_arrays
from tests.trainer import small
from tests.trainer.made import bundle_of, entity_of, folder_of_all
from trainer.config import CONFIGS, Model

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
POINTS = 120


@dataclass(frozen=True)
class Served:
    """A service that scores with a bundle of each kind, and the bundles."""

    service: Service
    bundles: dict[Model, Bundle]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    bundles = {model: bundle_of(model, tmp_path_factory) for model in small.TINY}
    folder = folder_of_all(tmp_path_factory)
    with Service(folder, tmp_path_factory.mktemp("service"), default_bundle="linear") as service:
        yield Served(service, bundles)


def faulty(entity: str) -> Series:
    """The training series goes on, and one relation breaks."""
    series = small.series(entity, count=POINTS)
    series.values[70:90, 2] += 4.0
    series.values[100:, 4] = np.nan
    return series


def test_there_is_a_small_one_of_every_model() -> None:
    assert small.TINY.keys() == CONFIGS.keys()


@pytest.mark.parametrize("model", small.TINY)
def test_a_model_streams_as_it_scores(served: Served, model: Model, tmp_path: Path) -> None:
    bundle, entity = served.bundles[model], entity_of(model)
    file = series_file(tmp_path / f"{entity}.npz", faulty(entity))
    offline, online = tmp_path / "offline.npz", tmp_path / "online.npz"
    there = ("--url", served.service.url, "--batch", "17", "--output", str(online), "--json")
    replayed = json.loads(gaugewatch("replay", str(file), *there).out)
    here = ("--bundle", str(bundle.folder), "--input", str(file), "--output", str(offline))
    scored = json.loads(gaugewatch("score", *here, "--json").out)
    assert replayed["points"] == scored["points"] == POINTS
    assert_same_arrays(offline, online)
    with np.load(online) as found:
        assert np.isfinite(found["score"]).sum() == POINTS - bundle.manifest.memory_horizon + 1
