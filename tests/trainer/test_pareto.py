import math

import numpy as np
import pytest
from scipy import stats

from trainer.pareto import Peaks, fit_pareto, peaks_of


@pytest.mark.parametrize("shape", [-0.2, 0.0, 0.3])
@pytest.mark.parametrize("scale", [0.5, 40.0])
def test_shape_and_scale_are_found_again(shape: float, scale: float) -> None:
    random = np.random.default_rng(3)
    excesses = stats.genpareto.rvs(shape, scale=scale, size=4000, random_state=random)
    found = fit_pareto(excesses)
    assert found[0] == pytest.approx(shape, abs=0.05)
    assert found[1] == pytest.approx(scale, rel=0.06)


@pytest.mark.parametrize("shape", [-0.3, 0.05, 0.6])
def test_the_fit_is_as_likely_as_that_of_scipy(shape: float) -> None:
    random = np.random.default_rng(5)
    excesses = stats.genpareto.rvs(shape, scale=2.0, size=200, random_state=random)
    own = fit_pareto(excesses)
    other, _, width = stats.genpareto.fit(excesses, floc=0.0)
    likelihoods = [
        stats.genpareto.logpdf(excesses, c, scale=s).sum() for c, s in (own, (other, width))
    ]
    assert likelihoods[0] >= likelihoods[1] - 0.01


@pytest.mark.parametrize("risk", [1e-2, 1e-3, 1e-4])
def test_the_level_is_exceeded_as_often_as_asked(risk: float) -> None:
    scores = np.random.default_rng(7).exponential(size=200_000)
    assert peaks_of(scores).level(risk) == pytest.approx(-math.log(risk), rel=0.05)


def test_few_or_equal_peaks_have_an_exponential_tail() -> None:
    few = Peaks(1.0, np.array([0.5, 1.5]), 100)
    assert few.level(1e-3) == pytest.approx(1.0 + math.log(20.0))
    equal = Peaks(1.0, np.full(50, 2.0), 2500)
    assert equal.level(1e-3) == pytest.approx(1.0 + 2.0 * math.log(20.0))


def test_the_level_is_never_below_the_initial_threshold() -> None:
    peaks = peaks_of(np.random.default_rng(1).normal(size=1000))
    assert peaks.level(0.5) == peaks.initial
    assert Peaks(3.0, np.empty(0), 100).level(1e-3) == 3.0
