"""The papers' own recipes: each can be read, says only what there is, and makes a bundle."""

import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import figures
from benchmarks.recipe_runs import Limits, within
from benchmarks.recipe_table import PAGE, lines
from benchmarks.recipes import RECIPES
from tests.trainer.small import series
from trainer.config import CONFIGS
from trainer.export import Exported, export
from trainer.fit import fit
from trainer.knobs import NetworkConfig
from trainer.recipe import Source, configured, of_file, of_pairs

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "configs").glob("*.toml"))
NAMES = {f"omnianomaly-{data}" for data in ("smd", "smap", "msl")} | {
    *(f"slmr-{data}" for data in ("swat", "msl", "smap")),
    "vae-lstm-nab",
}
TINY = ["epochs=1", "epoch_steps=3", "batch=16", "threads=1", "hidden=16"]
SIZES = {
    "gru_vae": ["window_length=20", "dense=8", "flows=2"],
    "slmr": ["group_channels=2"],
    "vae_lstm": ["window_length=48", "windows=3", "lstm_hidden=8"],
}


def recipe(path: Path, *pairs: str) -> NetworkConfig:
    config = configured(Source(of_pairs(pairs)), file=of_file(path))
    assert isinstance(config, NetworkConfig)
    return config


def test_every_recipe_is_there_and_no_other() -> None:
    assert {path.stem for path in FILES} == NAMES
    assert {one.name for one in RECIPES} == NAMES - {"slmr-swat"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_recipe_names_only_known_knobs_and_says_where_it_is_from(path: Path) -> None:
    text = path.read_text("utf-8")
    config, told = recipe(path), tomllib.loads(text)
    assert told.keys() <= CONFIGS[config.model].model_fields.keys()
    assert "public code" in text.partition("\nmodel = ")[0]


@pytest.fixture(scope="module")
def exported_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[NetworkConfig], Exported]:
    """Fits and exports, once where the tiny versions of two recipes say the same."""
    made: dict[str, Exported] = {}

    def of(config: NetworkConfig) -> Exported:
        said = config.model_dump_json()
        if said not in made:
            made[said] = export(fit([series()], config), tmp_path_factory.mktemp("recipe"))
        return made[said]

    return of


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_recipe_makes_graphs_in_a_tiny_version(
    path: Path, exported_of: Callable[[NetworkConfig], Exported]
) -> None:
    exported = exported_of(recipe(path, *TINY, *SIZES[recipe(path).model]))
    assert exported.members == ("network",)
    assert exported.parity["batch"] == 0.0


def test_an_epoch_of_a_recipe_has_as_many_updates_as_windows_ask_for() -> None:
    path = ROOT / "configs" / "vae-lstm-nab.toml"
    asked = recipe(path, *TINY[2:], *SIZES["vae_lstm"], "epochs=0", "epoch_steps=0")
    fitted = fit([series()], asked)
    assert isinstance(fitted.config, NetworkConfig)
    rows = fitted.splits[0].fit.stop - fitted.splits[0].fit.start
    assert fitted.config.epoch_steps == -(-(rows - 47) // 16)


def test_a_training_is_cut_to_the_time_there_is() -> None:
    path = ROOT / "configs" / "slmr-swat.toml"
    asked = recipe(path, "hidden=8", "group_channels=1", "threads=1", "batch=32", "epochs=4")
    calm = replace(series(), values=series().values.astype(np.float64))
    whole, made, wanted = within(asked, [calm], Limits(minutes=60))
    assert (whole.epochs, made) == (4, wanted)
    cut, few, same = within(asked, [calm], Limits(minutes=1e-6))
    assert (cut.epochs, cut.epoch_steps, few, same) == (1, 1, 1, wanted)
    fewer, part, _ = within(asked, [calm], Limits(minutes=60, epochs=2))
    assert (fewer.epochs, part) == (2, wanted // 2)


def test_the_page_shows_the_results_that_are_committed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    text = PAGE.read_text("utf-8")
    assert figures.filled(text, lines) == text, "run python -m benchmarks.recipes"
