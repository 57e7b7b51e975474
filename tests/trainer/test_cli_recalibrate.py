import json
from pathlib import Path

import numpy as np
import pytest

from service.scoring.bundle import load_bundle
from service.scoring.fold import Fold
from service.scoring.offline import score_series
from service.scoring.series import read_series
from tests.builders import DIMENSIONS, loaded_tiny_bundle, values_like
from tests.trainer.test_cli import Run, is_one_red_line


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return Run(monkeypatch, capsys)


def npz(folder: Path, *, count: int = 700) -> Path:
    path = folder / "alpha.npz"
    train = values_like("alpha", count, seed=21) + 50.0
    np.savez(path, allow_pickle=False, train=train, dimensions=np.array(DIMENSIONS))
    return path


def test_a_bundle_is_recalibrated_beside_itself(run: Run, tmp_path: Path) -> None:
    old = loaded_tiny_bundle(tmp_path / "models")
    ran = run(
        "recalibrate", old.folder, "--data", npz(tmp_path), "--budget", "0.5", "--json",
        "--train-rows", "50:",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    answer = json.loads(ran.out)
    new = load_bundle(tmp_path / "models" / "tiny")
    assert (answer["bundle"], answer["folder"]) == (new.title, str(new.folder))
    assert answer["recalibrated_from"] == old.manifest.version
    assert (answer["entities"], answer["unchanged"]) == (["alpha"], ["beta"])
    assert not answer["is_pooled_row_fitted"]
    assert new.manifest.default_budget == 0.5
    assert "1 series of 650 points" in ran.err


def test_a_threshold_becomes_the_budget_that_deploys_it(run: Run, tmp_path: Path) -> None:
    old, data = loaded_tiny_bundle(tmp_path / "models"), npz(tmp_path, count=1500)
    words = ("recalibrate", old.folder, "--data", data, "--json", "--threshold", "quantile:0.01")
    ran = run(*words)
    assert ran.code == 0, ran.err
    new = load_bundle(tmp_path / "models" / "tiny")
    assert json.loads(ran.out)["budget"] == new.manifest.default_budget
    assert new.manifest.default_budget != old.manifest.default_budget
    [scored] = score_series(Fold(new), [read_series(data, part="train")])
    assert scored.is_anomaly.sum() == pytest.approx(0.01 * np.isfinite(scored.score).sum(), abs=1)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--threshold", "best-f1"), "sees no label"),
        (("--threshold", "spot"), "stays where it is"),
        (("--threshold", "pot", "--budget", "1"), "got both"),
    ],
)
def test_a_threshold_that_cannot_be_deployed_is_one_red_line(
    run: Run, tmp_path: Path, words: tuple[str, ...], told: str
) -> None:
    old = loaded_tiny_bundle(tmp_path / "models")
    ran = run("recalibrate", old.folder, "--data", npz(tmp_path), *words)
    assert (ran.code, is_one_red_line(ran)) == (2, True)
    assert told in ran.err


def test_people_see_what_was_fitted(run: Run, tmp_path: Path) -> None:
    old, output = loaded_tiny_bundle(tmp_path / "models"), tmp_path / "other"
    ran = run("recalibrate", old.folder, "--data", npz(tmp_path), "--output", output)
    assert ran.code == 0, ran.err
    assert "entities: ['alpha']" in ran.out
    assert load_bundle(output / "tiny").manifest.version != old.manifest.version
    assert load_bundle(tmp_path / "models" / "tiny").title == old.title


def test_points_that_are_too_few_are_a_failure_in_words(run: Run, tmp_path: Path) -> None:
    old = loaded_tiny_bundle(tmp_path / "models")
    ran = run("recalibrate", old.folder, "--data", npz(tmp_path, count=60))
    assert ran.code == 1
    assert "held-out points per entity" in ran.err
    assert "Traceback" not in ran.err


def test_nothing_at_the_path_is_one_red_line(run: Run, tmp_path: Path) -> None:
    old = loaded_tiny_bundle(tmp_path / "models")
    ran = run("recalibrate", old.folder, "--data", tmp_path / "missing")
    assert (ran.code, is_one_red_line(ran)) == (2, True)
