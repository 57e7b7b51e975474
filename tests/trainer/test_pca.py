from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from numpy.lib.stride_tricks import sliding_window_view

from service.errors import SettingInvalid, TrainingFailed
from service.scoring.series import FloatArray
from tests.trainer.small import series, tiny
from trainer.config import PcaConfig
from trainer.export import export
from trainer.fit import fit
from trainer.linear import clip, fit_pca
from trainer.measures.ranking import average_precision
from trainer.models.pca import WindowPca, fit_window_pca
from trainer.observe import BoolArray


def coupled(count: int, dimensions: int, *, seed: int = 0) -> FloatArray:
    random = np.random.default_rng(seed)
    hidden = np.cumsum(random.normal(size=(count, 2)), axis=0) / 10
    return np.asarray(
        hidden @ random.normal(size=(2, dimensions)) + 0.1 * random.normal(size=(count, dimensions))
    )


def windows_of(stretches: list[FloatArray], pca: WindowPca) -> FloatArray:
    """Every window (n, T D), newest row first, one by one."""
    flat = [
        window.T[::-1].ravel() - np.tile(pca.mean, pca.steps)
        for stretch in stretches
        if len(stretch) >= pca.steps
        for window in sliding_window_view(stretch, pca.steps, axis=0)
    ]
    return np.array(flat)


@given(
    st.integers(1, 4),
    st.integers(1, 3),
    st.lists(st.integers(1, 30), min_size=1, max_size=3).filter(lambda n: max(n) > 20),
)
@settings(max_examples=25)
def test_basis_spans_what_the_singular_vectors_of_all_windows_span(
    steps: int, components: int, lengths: list[int]
) -> None:
    stretches = [coupled(count, 3, seed=n) for n, count in enumerate(lengths)]
    pca = fit_window_pca(stretches, PcaConfig(window_length=steps, pca_components=components))
    windows = windows_of(stretches, pca)
    _, _, vectors = np.linalg.svd(windows, full_matrices=False)
    leading = vectors[:components].T
    np.testing.assert_allclose(
        windows @ pca.basis @ pca.basis.T, windows @ leading @ leading.T, atol=1e-8
    )


@pytest.mark.parametrize("steps", [1, 4])
def test_reconstruction_of_a_row_sees_its_window_and_nothing_later(steps: int) -> None:
    rows = coupled(60, 4)
    pca = fit_window_pca([rows], PcaConfig(window_length=steps, variance=0.95))
    flat = windows_of([rows], pca)
    expected = (flat @ pca.basis @ pca.basis.T)[:, :4] + pca.mean
    np.testing.assert_allclose(pca.reconstruct(rows)[steps - 1 :], expected, atol=1e-12)
    np.testing.assert_array_equal(pca.reconstruct(rows[:30]), pca.reconstruct(rows)[:30])


def test_one_step_is_the_pca_of_rows() -> None:
    rows = coupled(200, 5)
    ours = fit_window_pca([rows], PcaConfig(window_length=1, pca_components=2))
    np.testing.assert_allclose(ours.basis, fit_pca(rows, components=2).basis, atol=1e-9)


@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_as_few_components_as_explain_the_share_are_kept(share: float) -> None:
    rows = coupled(300, 6)
    pca = fit_window_pca([rows], PcaConfig(window_length=3, variance=share))
    windows = windows_of([rows], pca)

    def explained(basis: FloatArray) -> float:
        return float(np.square(windows @ basis).sum() / np.square(windows).sum())

    assert explained(pca.basis) >= share
    assert explained(pca.basis[:, :-1]) < share


def test_rows_that_never_move_have_one_component() -> None:
    pca = fit_window_pca([np.ones((20, 3))], PcaConfig(window_length=2))
    assert pca.basis.shape == (6, 1)
    np.testing.assert_array_equal(pca.reconstruct(np.ones((5, 3))), np.ones((5, 3)))


def test_a_number_of_components_beyond_all_is_all() -> None:
    rows = coupled(50, 3)
    pca = fit_window_pca([rows], PcaConfig(window_length=2, pca_components=99))
    np.testing.assert_allclose(pca.reconstruct(rows)[1:], rows[1:], atol=1e-9)


def test_stretches_shorter_than_a_window_are_refused() -> None:
    with pytest.raises(TrainingFailed, match="expected 4 rows without a break"):
        fit_window_pca([np.zeros((3, 2))], PcaConfig(window_length=4))


@pytest.mark.parametrize("steps", [0, 11])
def test_a_window_has_one_to_ten_steps(steps: int) -> None:
    with pytest.raises(SettingInvalid, match="window_length"):
        tiny("pca", window_length=steps)


def test_other_members_are_refused() -> None:
    with pytest.raises(SettingInvalid, match="pca cannot have members"):
        tiny("pca", members=("pca", "leave_one_out"))


def broken() -> tuple[FloatArray, BoolArray]:
    """Rows of a series in which two dimensions are exchanged for a while, and where."""
    values, label = series(count=600).values.copy(), np.zeros(600, np.bool_)
    label[300:360] = True
    values[label, 0], values[label, 4] = values[label, 4].copy(), values[label, 0].copy()
    return values, label


def test_it_sees_a_broken_relation_far_better_than_chance() -> None:
    values, label = broken()
    fitted = fit([series()], tiny("pca", window_length=5))
    rows = clip(fitted.linear.scaling.scale(values, 1))
    score = np.square(rows - fitted.skip(rows)).sum(axis=1)
    assert average_precision(label, score) > 0.7 > 5 * label.mean()


def test_it_has_no_network_and_nothing_to_train() -> None:
    fitted = fit([series()], tiny("pca"))
    assert (fitted.network, fitted.nearest, fitted.history) == (None, None, ())


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("steps", [1, 2, 10])
def test_graphs_agree_and_the_state_is_the_rows_before(steps: int, tmp_path: Path) -> None:
    values = series().values.copy()
    values[40:44, 1] = np.nan
    both = [replace(series(), values=values), series("beta", level=1e9)]
    config = tiny("pca", window_length=steps, members=("raw", "pca"))
    exported = export(fit(both, config), tmp_path)
    assert max(exported.parity.values()) < 1e-5
    assert exported.parity["batch"] == 0
    assert [one.shape for one in exported.state] == [(max(steps - 1, 1), 6)]
    assert exported.memory_horizon == max(steps, 2)
