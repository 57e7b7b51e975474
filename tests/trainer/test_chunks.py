import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from service.scoring.series import FloatArray
from trainer import chunks as tools
from trainer.chunks import chunks, mean_square, stacked, summed
from trainer.linear import fit_leave_one_out, fit_pca
from trainer.models.pca import fit_window_pca
from trainer.pca_knobs import PcaConfig
from trainer.windows import impute

ROOT = Path(__file__).parents[2]
GROWTH_MIB = 340  # lagged rows of all 200,000 at once need more than 450
CALIBRATION_MIB = 110  # with all surprisals of 40,000 rows at once it is 190


def rows(count: int, *, seed: int = 0) -> FloatArray:
    random = np.random.default_rng(seed)
    return np.cumsum(random.normal(size=(count, 3)), axis=0) / 10


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "__kwdefaults__", {"first": 0, "size": 7})
    monkeypatch.setattr(tools, "CHUNK", 7)


def test_chunks_cover_every_row_once() -> None:
    found = np.concatenate([np.arange(50)[part] for part in chunks(50, first=4, size=8)])
    np.testing.assert_array_equal(found, np.arange(4, 50))
    assert list(chunks(3, first=4)) == []


def test_one_array_is_not_copied() -> None:
    one = rows(5)
    assert stacked([one]) is one
    assert stacked([one, one]).shape == (10, 3)
    assert impute(one, one[0]) is one


@pytest.mark.usefixtures("small_chunks")
def test_sums_over_chunks_are_those_over_all_rows() -> None:
    one = rows(50)
    np.testing.assert_allclose(summed(one, lambda part: part.T @ part), one.T @ one)
    parts = [one[:3], one[3:20], one[20:]]
    np.testing.assert_allclose(mean_square(parts), np.square(one).mean(axis=0))


def test_closed_forms_are_the_same_in_chunks(request: pytest.FixtureRequest) -> None:
    stretches, config = [rows(60), rows(3, seed=1), rows(40, seed=2)], PcaConfig(window_length=3)
    whole, windows = fit_leave_one_out(stretches), fit_window_pca(stretches, config)
    pca, expected = fit_pca(rows(60), components=2), whole.predict(stretches[0])
    explained = windows.reconstruct(stretches[0])
    request.getfixturevalue("small_chunks")
    np.testing.assert_allclose(fit_leave_one_out(stretches).weights, whole.weights, atol=1e-10)
    np.testing.assert_allclose(whole.predict(stretches[0]), expected, atol=1e-12)
    np.testing.assert_allclose(fit_pca(rows(60), components=2).basis, pca.basis, atol=1e-10)
    again = fit_window_pca(stretches, config)
    np.testing.assert_allclose(again.basis, windows.basis, atol=1e-10)
    np.testing.assert_allclose(windows.reconstruct(stretches[0]), explained, atol=1e-12)


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("model", ["linear", "blind_spot"])
def test_a_long_series_is_fitted_in_little_memory(model: str) -> None:
    assert growth_mib(model, 200_000) < GROWTH_MIB


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_long_stretch_is_calibrated_on_in_little_memory() -> None:
    assert growth_mib("calibration", 40_000) < CALIBRATION_MIB


def growth_mib(what: str, rows: int) -> int:
    words = [sys.executable, "-m", "tests.trainer.peak_memory", what, str(rows)]
    ended = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    return int(ended.stdout)
