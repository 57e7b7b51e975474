import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from service.errors import TrainingFailed
from service.scoring.series import FloatArray
from trainer.linear import LAGS, recent, window_ends
from trainer.nearest import MAX_WINDOWS, fit_nearest


def waves(count: int, *, dimensions: int = 3, seed: int = 0) -> FloatArray:
    random = np.random.default_rng(seed)
    phase = np.arange(count)[:, None] / 7.0 + np.arange(dimensions)
    return np.asarray(np.sin(phase) + 0.1 * random.normal(size=phase.shape))


@given(st.lists(st.integers(1, 12), min_size=1, max_size=5).filter(lambda n: max(n) > LAGS))
@settings(max_examples=50)
def test_windows_never_reach_from_one_stretch_into_another(lengths: list[int]) -> None:
    stretches = [np.full((n, 1), float(number)) for number, n in enumerate(lengths)]
    windows = recent(np.vstack(stretches), window_ends(lengths))
    assert len(windows) == sum(max(0, n - LAGS) for n in lengths)
    assert bool((windows == windows[:, :1]).all())


def test_window_is_newest_first() -> None:
    rows = np.arange(9.0)[:, None]
    assert recent(rows, window_ends([9]))[0, :, 0].tolist() == [4, 3, 2, 1, 0]


def test_rows_without_an_unbroken_window_are_refused() -> None:
    with pytest.raises(TrainingFailed, match="5 rows without a break, got at most 4"):
        window_ends([4, 2])


def test_error_equals_a_search_by_hand() -> None:
    nearest = fit_nearest([waves(80)], clusters=6, seed=1)
    windows, random = recent(waves(40, seed=5), np.arange(LAGS, 40)), np.random.default_rng(2)
    newest = windows[:, 0] + random.choice([0.0, 50.0], size=windows[:, 0].shape)
    found = nearest.error(windows, newest)
    for number, window in enumerate(windows):
        distances = [float(((window - centroid) ** 2).sum()) for centroid in nearest.centroids]
        chosen = nearest.centroids[int(np.argmin(distances))]
        for dimension in range(3):
            squares = [(newest[number, dimension] - chosen[0, dimension]) ** 2]
            squares += [
                (window[lag, dimension] - chosen[lag, dimension]) ** 2 for lag in range(1, LAGS + 1)
            ]
            assert found[number, dimension] == pytest.approx(np.sqrt(sum(squares) / 5))


def test_more_clusters_leave_less_over() -> None:
    windows = recent(waves(400), np.arange(LAGS, 400))
    few, many = (fit_nearest([waves(400)], clusters=count, seed=0) for count in (1, 20))
    assert many.error(windows, windows[:, 0]).mean() < few.error(windows, windows[:, 0]).mean() / 2
    np.testing.assert_allclose(few.centroids[0], windows.mean(axis=0), atol=1e-9)


def test_same_seed_gives_the_same_centroids() -> None:
    one, same, other = (fit_nearest([waves(300)], clusters=5, seed=s).centroids for s in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_few_or_equal_windows_are_clusters_enough() -> None:
    assert len(fit_nearest([waves(7)], clusters=20, seed=0).centroids) == 3
    still = fit_nearest([np.ones((50, 2))], clusters=20, seed=0)
    assert not still.error(np.ones((1, LAGS + 1, 2)), np.ones((1, 2))).any()


@pytest.mark.slow
def test_long_series_are_thinned() -> None:
    rows = waves(MAX_WINDOWS + 5000, dimensions=1)
    assert fit_nearest([rows], clusters=2, seed=0).centroids.shape == (2, LAGS + 1, 1)
