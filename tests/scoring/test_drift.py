import math

import numpy as np
import pytest
from hypothesis import given, strategies as st

from service.scoring.drift import COUNTED_P, SLACK, corrected, updated
from service.scoring.fold import Fold, Points, States
from service.scoring.incident import Transition
from tests.builders import values_like

MOST = math.log(1 / (SLACK * COUNTED_P))
surprisals = st.floats(0, 1e6)
rates = st.floats(0, 1)


def test_what_exceeds_as_often_as_promised_is_left_alone() -> None:
    rate = np.array([0.0, COUNTED_P, SLACK * COUNTED_P])
    assert corrected(np.full(3, 7.0), rate).tolist() == [7.0, 7.0, 7.0]


def test_ten_times_too_often_costs_the_logarithm_of_ten() -> None:
    rate = np.array([10 * SLACK * COUNTED_P])
    assert corrected(np.array([7.0]), rate)[0] == pytest.approx(7.0 - math.log(10))


@given(surprisals, rates, rates)
def test_more_exceedances_never_raise_a_surprisal(surprisal: float, one: float, two: float) -> None:
    more, less = corrected(np.full(2, surprisal), np.sort([one, two])[::-1])
    assert 0 <= more <= less <= surprisal
    assert less >= surprisal - MOST - 1e-9


def test_the_rate_is_the_share_of_exceedances() -> None:
    generator = np.random.default_rng(0)
    surprisals = generator.exponential(size=(60_000, 1)) + math.log(10)  # ten times too often
    rate, after = np.array([COUNTED_P]), []
    for surprisal in surprisals:
        rate = updated(rate, surprisal, half_life_points=2_000.0)
        after.append(float(rate[0]))
    assert np.mean(after[20_000:]) == pytest.approx(10 * COUNTED_P, rel=0.05)


def test_half_of_a_rate_is_forgotten_in_a_half_life() -> None:
    rate = np.array([0.5])
    for _ in range(100):
        rate = updated(rate, np.zeros(1), half_life_points=100.0)
    assert rate[0] == pytest.approx(0.25)


def test_only_the_score_and_what_follows_from_it_are_corrected(fold: Fold) -> None:
    values = values_like("alpha", 40)
    values[-1, 1] += 5.0
    states = after(fold, values[:-1])
    drifted = states.copy()
    drifted["model"]["exceedance_rate"] = 0.08  # 10 times what is left alone
    (calm_state, calm), (moved_state, moved) = (
        fold.step(one, point(fold, values[-1])) for one in (states, drifted)
    )
    assert calm.surprisal[0] - moved.surprisal[0] == pytest.approx(math.log(10))
    assert moved.score[0] == pytest.approx(calm.score[0] * moved.surprisal[0] / calm.surprisal[0])
    assert moved.severity[0] == calm.severity[0]
    assert (moved.contributions == calm.contributions).all()
    assert (moved_state["model"]["normaliser"] == calm_state["model"]["normaliser"]).all()


def test_rates_count_what_was_scored_before_any_correction(fold: Fold) -> None:
    """Spikes in every tenth row, far more than the calibration saw."""
    values = values_like("alpha", 600)
    values[::10, 1] += 3.0
    warming = after(fold, values[: fold.need - 1])
    assert warming["model"]["exceedance_rate"][0] == COUNTED_P
    rate = float(after(fold, values)["model"]["exceedance_rate"][0])
    memory = min(view.half_life_points for view in fold.bundle.manifest.views)
    # two rows per spike surprise: itself, and the return
    assert rate == pytest.approx(0.2 * (1 - 0.5 ** (600 / memory)), rel=0.3)


def test_a_new_normal_forgets_how_far_it_was_from_the_old_one(fold: Fold) -> None:
    values = values_like("alpha", 900)
    values[100:] += 40.0 * np.arange(800)[:, None]  # never the same again
    states, rates, told = fold.fresh(np.array([1])), [], []
    for row in values:
        states, verdict = fold.step(states, point(fold, row))
        rates.append(float(states["model"]["exceedance_rate"][0]))
        told.append(verdict.transition[0])
    new_normal = told.index(Transition.NEW_NORMAL)
    assert rates[new_normal - 1] > SLACK * COUNTED_P
    assert rates[new_normal] == COUNTED_P


def after(fold: Fold, values: np.ndarray) -> States:
    states = fold.fresh(np.array([1]))
    for row in values:
        states, _ = fold.step(states, point(fold, row))
    return states


def point(fold: Fold, row: np.ndarray) -> Points:
    index = np.ones(1, np.int64)
    return Points(index, np.zeros(1, np.int64), fold.centre(row[None], index))
