import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings, strategies as st
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge

from service.scoring.series import FloatArray
from trainer.linear import (
    LAGS,
    RIDGE,
    SCALE_FLOOR,
    clip,
    fit_leave_one_out,
    fit_linear,
    fit_pca,
    fit_scaling,
    lagged,
)


def coupled(count: int, dimensions: int, *, seed: int = 0) -> FloatArray:
    random = np.random.default_rng(seed)
    hidden = np.cumsum(random.normal(size=(count, 2)), axis=0) / 10
    mixed = hidden @ random.normal(size=(2, dimensions))
    return np.asarray(mixed + 0.1 * random.normal(size=(count, dimensions)))


def test_scaling_maps_the_training_range_to_zero_and_one() -> None:
    rows = coupled(200, 3)
    scaling = fit_scaling([rows])
    scaled = scaling.scale(rows, 1)
    np.testing.assert_allclose(scaled.min(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(scaled.max(axis=0), 1, atol=1e-12)


def test_constant_dimension_is_measured_by_its_own_size() -> None:
    rows = np.column_stack([np.full(20, 50.0), np.full(20, 0.2), np.arange(20.0)])
    assert fit_scaling([rows]).span[1].tolist() == [50.0, 1.0, 19.0]


def test_row_zero_is_the_scaling_of_all_entities_together() -> None:
    low, high = coupled(50, 3, seed=1), coupled(80, 3, seed=2) + 10
    pooled = fit_scaling([np.vstack([low, high])])
    scaling = fit_scaling([low, high])
    np.testing.assert_array_equal(scaling.span[0], pooled.span[1])
    np.testing.assert_array_equal(scaling.center[0], pooled.center[1])
    np.testing.assert_array_equal(scaling.center[2], np.median(high, axis=0))


def test_large_counter_keeps_its_small_movements_in_float32() -> None:
    movement = coupled(500, 2)
    scaling = fit_scaling([1e12 + movement])
    centred = (1e12 + movement - scaling.center[1]).astype(np.float32)
    scaled = (centred - scaling.offset[1].astype(np.float32)) / scaling.span[1].astype(np.float32)
    expected = fit_scaling([movement]).scale(movement, 1)
    np.testing.assert_allclose(scaled, expected, atol=2e-4)  # 1e12 itself has steps of 1.2e-4


def test_pca_spans_what_scikit_learn_finds() -> None:
    rows = coupled(300, 6)
    ours, theirs = fit_pca(rows, components=2), PCA(2).fit(rows)
    expected = theirs.inverse_transform(theirs.transform(rows))
    np.testing.assert_allclose(ours.reconstruct(rows), expected, atol=1e-9)


def test_pca_does_not_leave_the_signs_to_chance() -> None:
    basis = fit_pca(coupled(300, 6), components=3).basis
    assert bool((basis[np.abs(basis).argmax(axis=0), np.arange(3)] > 0).all())


@given(st.integers(0, 8), st.integers(1, 3))
@settings(max_examples=20, deadline=None)
def test_lagged_equals_looking_up_each_earlier_row(count: int, dimensions: int) -> None:
    rows = np.random.default_rng(count).normal(size=(count, dimensions))
    result = lagged(rows)
    assert result.shape == (count, (LAGS + 1) * dimensions)
    for time in range(count):
        earlier = [rows[time - lag] if time >= lag else 0 * rows[0] for lag in range(LAGS + 1)]
        np.testing.assert_array_equal(result[time], np.concatenate(earlier))


def naive_leave_one_out(stretches: list[FloatArray], dimension: int) -> npt.NDArray[np.float64]:
    """Ridge of one dimension on the lagged rows without its own columns; zeros there."""
    rows = np.vstack(stretches)
    standardised = [
        (part - rows.mean(axis=0)) / np.maximum(rows.std(axis=0), SCALE_FLOOR) for part in stretches
    ]
    inputs = np.vstack([lagged(part)[LAGS:] for part in standardised])
    dimensions = rows.shape[1]
    others = [i for i in range(inputs.shape[1]) if i % dimensions != dimension]
    ridge = Ridge(alpha=RIDGE * len(inputs), fit_intercept=False)
    ridge.fit(inputs[:, others], inputs[:, dimension])
    weights = np.zeros(inputs.shape[1])
    weights[others] = ridge.coef_
    return weights


def test_leave_one_out_equals_a_ridge_regression_per_dimension() -> None:
    stretches = [coupled(120, 5, seed=1), coupled(90, 5, seed=2)]
    stretches[0][:, 4] = stretches[1][:, 4] = 0.3  # a constant one
    fitted = fit_leave_one_out(stretches)
    for dimension in range(5):
        expected = naive_leave_one_out(stretches, dimension)
        np.testing.assert_allclose(fitted.weights[:, dimension], expected, atol=1e-9)


def test_leave_one_out_never_uses_a_dimension_for_itself() -> None:
    weights = fit_leave_one_out([coupled(100, 4)]).weights.reshape(LAGS + 1, 4, 4)
    for block in weights:
        np.testing.assert_array_equal(np.diag(block), 0)


def test_leave_one_out_prediction_ignores_the_value_itself() -> None:
    rows = coupled(60, 4)
    fitted = fit_leave_one_out([rows])
    broken = rows.copy()
    broken[:, 2] += 7.0
    np.testing.assert_allclose(fitted.predict(broken)[:, 2], fitted.predict(rows)[:, 2])


def test_leave_one_out_follows_a_linear_relation() -> None:
    rows = coupled(400, 4)
    fitted = fit_leave_one_out([rows])
    error = np.abs(rows - fitted.predict(rows))[LAGS:].mean()
    assert error < 0.3 * np.abs(rows - rows.mean(axis=0)).mean()


def test_entities_share_pca_and_leave_one_out_in_scaled_units() -> None:
    rows = coupled(200, 4)
    one = fit_linear([[rows]], components=2)
    both = fit_linear([[rows], [1e6 * rows - 3e6]], components=2)
    np.testing.assert_allclose(both.pca.mean, one.pca.mean, atol=1e-6)
    np.testing.assert_allclose(
        both.leave_one_out.weights, one.leave_one_out.weights, rtol=1e-6, atol=1e-8
    )


@pytest.mark.parametrize(("value", "clipped"), [(-1e9, -4.0), (0.5, 0.5), (1e9, 5.0)])
def test_what_enters_a_model_is_clipped(value: float, clipped: float) -> None:
    assert clip(np.array([value]))[0] == clipped
