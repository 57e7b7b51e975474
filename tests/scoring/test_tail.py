import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy import stats

from service.scoring.tail import (
    FEW,
    MAX_P0,
    MIN_P0,
    Tail,
    cluster_maxima,
    fit_pareto,
    fit_tail,
    surprisal,
    threshold_surprisal,
)
from tests import reference


@pytest.mark.parametrize("shape", [0.0, 0.15, 0.3])
def test_pareto_fit_recovers_its_parameters(shape: float) -> None:
    excesses = stats.genpareto.rvs(shape, scale=2.0, size=4000, random_state=3)
    found_shape, found_scale = fit_pareto(excesses)
    assert found_shape == pytest.approx(shape, abs=0.06)
    assert found_scale == pytest.approx(2.0, rel=0.08)


def test_pareto_fit_is_as_likely_as_scipys() -> None:
    excesses = stats.genpareto.rvs(0.2, scale=0.5, size=300, random_state=5)
    shape, scale = fit_pareto(excesses)
    theirs = stats.genpareto.fit(excesses, floc=0)
    ours = stats.genpareto.logpdf(excesses, shape, 0, scale).sum()
    assert ours >= stats.genpareto.logpdf(excesses, *theirs).sum() - 0.01


@given(st.floats(10, 1e6), st.integers(9, 200), st.integers(0, 2**32 - 1))
def test_one_wild_peak_does_not_lead_the_fit_astray(wild: float, others: int, seed: int) -> None:
    excesses = np.append(np.random.default_rng(seed).exponential(size=others), wild)
    shape, scale = fit_pareto(excesses)
    found = stats.genpareto.logpdf(excesses, shape, 0, scale).sum()
    for other_shape in (0.0, 0.25, 0.5):
        for other_scale in np.geomspace(0.05, 2 * excesses.mean(), 100):
            assert (
                found >= stats.genpareto.logpdf(excesses, other_shape, 0, other_scale).sum() - 0.01
            )


def test_the_scale_of_many_calm_peaks_and_a_wild_one_is_that_of_the_calm() -> None:
    excesses = np.append(np.random.default_rng(3).exponential(size=49), 3000.0)
    shape, scale = fit_pareto(excesses)
    assert shape == 0.5
    assert 0.3 < scale < 2.0


def test_a_short_tail_is_given_no_end() -> None:
    uniform = np.random.default_rng(1).uniform(size=500)
    shape, _ = fit_pareto(uniform)
    assert shape == 0.0


@given(st.integers(0, 2**32 - 1), st.floats(-5, 60) | st.integers(0, 9).map(float), st.booleans())
def test_surprisal_equals_the_slow_version(seed: int, value: float, is_tied: bool) -> None:
    aggregates = np.random.default_rng(seed).gamma(2.0, 2.0, size=700)
    aggregates = np.floor(aggregates) if is_tied else aggregates
    tail = fit_tail(aggregates)
    found = surprisal(np.array([value]), tail.knots[None], tail.constants[None])[0]
    assert found == pytest.approx(
        reference.surprisal(value, tail.knots.tolist(), tail.constants.tolist()), abs=1e-9
    )


def test_few_values_have_the_surprisal_that_they_have_among_many() -> None:
    generator = np.random.default_rng(5)
    tails = [fit_tail(np.floor(generator.gamma(2.0, 2.0, size=700) * k)) for k in (1, 2, 9)]
    knots = np.stack([tail.knots for tail in tails])
    constants = np.stack([tail.constants for tail in tails])
    values = np.concatenate([generator.gamma(2.0, 8.0, size=400), knots[:, ::9].ravel(), [np.nan]])
    row = generator.integers(0, 3, len(values))
    many = surprisal(values, knots, constants, row=row)
    for count in (1, 7, FEW):
        few = [
            surprisal(values[at : at + count], knots, constants, row=row[at : at + count])
            for at in range(0, len(values), count)
        ]
        assert np.concatenate(few).tobytes() == many.tobytes()


def test_surprisal_never_falls_when_the_aggregate_grows() -> None:
    aggregates = np.random.default_rng(2).gamma(2.0, 2.0, size=5000)
    tail = fit_tail(aggregates)
    grid = np.linspace(-1, 200, 5000)
    levels = surprisal(grid, tail.knots[None], tail.constants[None])
    assert (np.diff(levels) >= -1e-12).all()


def test_the_promised_share_of_points_is_exceeded() -> None:
    generator = np.random.default_rng(4)
    tail = fit_tail(generator.gamma(2.0, 2.0, size=20_000))
    later = generator.gamma(2.0, 2.0, size=200_000)
    levels = surprisal(later, tail.knots[None], tail.constants[None])
    for p in (0.1, 0.01, 0.001):
        assert (levels > -np.log(p)).mean() == pytest.approx(p, rel=0.35)


def test_a_constant_aggregate_gets_a_finite_tail() -> None:
    tail = fit_tail(np.ones(500))
    levels = surprisal(np.array([0.0, 1.0, 2.0]), tail.knots[None], tail.constants[None])
    assert np.isfinite(levels).all()
    assert levels[0] <= levels[1] < levels[2]


@pytest.mark.parametrize("every", [1000, 10])  # too few peaks for a shape, and enough
def test_a_tail_falls_no_faster_than_its_least_scale(every: int) -> None:
    aggregates = np.ones(5000)
    aggregates[::every] += np.random.default_rng(1).gamma(2.0, 1e-6, size=5000 // every)
    narrow, wide = fit_tail(aggregates), fit_tail(aggregates, least_scale=0.2)
    assert narrow.scale < 1e-4
    assert wide.constants[:3].tolist() == narrow.constants[:3].tolist()
    assert level_of(wide, 3.0) <= 2.0 / 0.2 - np.log(wide.share)


def test_a_wide_tail_is_what_it_was() -> None:
    aggregates = np.random.default_rng(2).gamma(2.0, 2.0, size=5000)
    usual, floored = fit_tail(aggregates), fit_tail(aggregates, least_scale=1.0)
    assert floored.constants.tobytes() == usual.constants.tobytes()


def level_of(tail: Tail, aggregate: float) -> float:
    return float(surprisal(np.array([aggregate]), tail.knots[None], tail.constants[None])[0])


def test_what_every_point_reaches_is_no_surprise() -> None:
    assert level_of(fit_tail(np.ones(500)), 1.0) == 0.0
    many_ties = np.concatenate([np.zeros(700), np.random.default_rng(1).gamma(2.0, size=300)])
    assert level_of(fit_tail(many_ties), 0.0) == 0.0


def test_equal_aggregates_get_the_share_of_points_that_reach_them() -> None:
    aggregates = np.random.default_rng(1).poisson(3.0, size=5000).astype(float)
    tail = fit_tail(aggregates)
    for aggregate in range(int(tail.threshold) + 1):
        reached = float((aggregates >= aggregate).mean())
        assert np.exp(-level_of(tail, aggregate)) == pytest.approx(reached, rel=0.08)


def test_exceedances_close_together_are_one_cluster() -> None:
    aggregates = np.array([0, 9, 0, 0, 7, 0, 0, 0, 0, 0, 0, 8, 0], float)
    assert cluster_maxima(aggregates, aggregates > 5).tolist() == [9.0, 8.0]
    assert cluster_maxima(aggregates, aggregates > 50).tolist() == []


@given(st.floats(1e-6, 1e6), st.floats(1e-3, 1e3), st.floats(1, 1e5))
def test_the_threshold_follows_the_budget_within_its_bounds(
    budget: float, kappa: float, period: float
) -> None:
    found = threshold_surprisal(np.array([kappa]), budget=budget, period_seconds=period)[0]
    p0 = min(max(kappa * budget * period / 86_400, MIN_P0), MAX_P0)
    assert found == pytest.approx(-np.log(p0))
