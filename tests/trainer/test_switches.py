import math

import numpy as np
import pytest
from hypothesis import given, strategies as st

from trainer.switches import switch_cap

STATES = st.lists(st.sampled_from([0.0, 1.0, math.nan]), min_size=1, max_size=60)


def board(*columns: list[float]) -> np.ndarray:
    """Rows of these dimensions."""
    return np.array(columns).T


@given(STATES)
def test_a_switch_says_at_most_its_rarity(states: list[float]) -> None:
    seen = [state for state in states if not math.isnan(state)]
    [cap] = switch_cap(board(states))
    if not seen:
        assert cap == math.inf
        return
    rarer = min(seen.count(0.0), seen.count(1.0))
    assert cap == pytest.approx(-math.log((rarer + 0.5) / (len(seen) + 1)))
    assert 0.0 < cap <= math.log(2 * (len(seen) + 1))


@given(STATES)
def test_on_and_off_are_alike(states: list[float]) -> None:
    flipped = [1.0 - state for state in states]
    assert switch_cap(board(states)).tolist() == switch_cap(board(flipped)).tolist()


def test_the_rarer_the_more_surprising() -> None:
    rare, common, never = [1.0] + [0.0] * 99, [1.0] * 30 + [0.0] * 70, [0.0] * 100
    caps = switch_cap(board(common, rare, never))
    assert (np.diff(caps) > 0).all()


def test_what_has_another_value_is_no_switch() -> None:
    telemetry, halved = [-1.0] * 50 + [1.0] * 50, [0.0, 0.5] * 50
    switch = [0.0, 1.0] * 50
    caps = switch_cap(board(telemetry, switch, switch, switch, halved))
    assert np.isinf(caps).tolist() == [True, False, False, False, True]


def test_among_measurements_nothing_is_a_switch() -> None:
    measured, counter = [0.3, 0.7] * 50, [0.0] * 99 + [1.0]
    assert np.isinf(switch_cap(board(measured, counter))).all()
    assert np.isfinite(switch_cap(board(measured, counter, counter))).sum() == 2
