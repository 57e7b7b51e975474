import math

import numpy as np
import pytest
from hypothesis import given, strategies as st

from trainer.benchmark.statistics import Interval, bootstrap, paired, spread

figures = st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=30)


def slow_bootstrap(values: list[float], *, seed: int, rounds: int, level: float) -> Interval:
    """One round after another, one entity after another."""
    generator = np.random.default_rng(seed)
    means = []
    for _ in range(rounds):
        drawn = [values[generator.integers(len(values))] for _ in values]
        means.append(sum(drawn) / len(drawn))
    low, high = np.quantile(means, (1 - level) / 2), np.quantile(means, 1 - (1 - level) / 2)
    return Interval(sum(values) / len(values), float(low), float(high))


@pytest.mark.parametrize(("level", "seed"), [(0.95, 0), (0.8, 3)])
def test_the_bootstrap_equals_its_loop(level: float, seed: int) -> None:
    values = np.random.default_rng(8).lognormal(size=17).tolist()
    fast = bootstrap(values, seed=seed, rounds=400, level=level)
    obvious = slow_bootstrap(values, seed=seed, rounds=400, level=level)
    assert (fast.mean, fast.low, fast.high) == pytest.approx(
        (obvious.mean, obvious.low, obvious.high)
    )


def test_an_interval_of_95_percent_holds_the_true_mean_about_that_often() -> None:
    generator = np.random.default_rng(2)
    samples = generator.exponential(size=(300, 40))  # true mean 1
    found = [bootstrap(sample, seed=seed, rounds=400) for seed, sample in enumerate(samples)]
    coverage = np.mean([interval.low <= 1.0 <= interval.high for interval in found])
    assert 0.87 < coverage < 0.98


def test_the_paired_interval_finds_a_small_gain_that_differs_less_than_the_entities() -> None:
    generator = np.random.default_rng(4)
    others = generator.uniform(size=30)
    values = others + 0.05 + 0.02 * generator.normal(size=30)
    gain = paired(values, others)
    assert 0.03 < gain.low < gain.mean < gain.high < 0.07
    assert bootstrap(values).low < bootstrap(others).high


@given(figures, st.integers(0, 5))
def test_the_interval_lies_within_the_values_and_is_the_same_again(
    values: list[float], seed: int
) -> None:
    interval = bootstrap(values, seed=seed, rounds=50)
    assert interval == bootstrap(values, seed=seed, rounds=50)
    assert min(values) - 1e-9 <= interval.low <= interval.high <= max(values) + 1e-9


@given(figures)
def test_identical_inputs_differ_by_nothing(values: list[float]) -> None:
    assert paired(values, values, rounds=50) == Interval(0.0, 0.0, 0.0)


def test_another_seed_draws_another_interval() -> None:
    values = np.random.default_rng(0).normal(size=25)
    assert bootstrap(values, seed=0) != bootstrap(values, seed=1)


def test_entities_without_a_value_are_left_out() -> None:
    assert bootstrap([1.0, math.nan, 2.0, 4.0]) == bootstrap([1.0, 2.0, 4.0])
    assert paired([1.0, math.nan, 5.0, 9.0], [0.0, 2.0, 3.0, math.nan]) == paired(
        [1.0, 5.0], [0.0, 3.0]
    )


def test_one_entity_has_no_interval_and_none_has_no_mean() -> None:
    lone, none = bootstrap([0.5]), bootstrap([math.nan])
    assert lone.mean == 0.5
    assert math.isnan(lone.low)
    assert math.isnan(lone.high)
    assert math.isnan(none.mean)


def test_pairs_must_match() -> None:
    with pytest.raises(ValueError, match="shorter"):
        paired([1.0, 2.0, 3.0], [1.0])


def test_the_spread_over_seeds_is_the_sample_standard_deviation() -> None:
    assert spread([1.0, 2.0, 3.0]) == (2.0, 1.0)
    mean, deviation = spread([0.4])
    assert mean == 0.4
    assert math.isnan(deviation)
