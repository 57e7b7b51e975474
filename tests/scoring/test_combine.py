import numpy as np
import pytest
from hypothesis import given, strategies as st

from service.scoring.combine import combined, remember, sustained
from tests import reference

Level = st.floats(0.0, 1e6)
Case = tuple[list[list[float]], list[float]]


@st.composite
def views(draw: st.DrawFn) -> Case:
    """Levels of some points in some views, and a weight for each view."""
    count = draw(st.integers(1, 6))
    point = st.lists(Level, min_size=count, max_size=count)
    weights = st.lists(st.floats(0.1, 10.0), min_size=count, max_size=count)
    return draw(st.lists(point, min_size=1, max_size=40)), draw(weights)


def severities(levels: list[float]) -> np.ndarray:
    """Each level of one entity after the other, as the fold remembers them."""
    recent, found = np.zeros((1, 3)), []
    for level in levels:
        recent = remember(recent, np.array([level]))
        found.append(sustained(recent, np.array([level]))[0])
    return np.array(found)


@given(views())
def test_views_are_combined_as_the_slow_version_does(case: Case) -> None:
    levels, weights = case
    found = combined(np.array(levels), np.array(weights))
    expected = [reference.power_mean(point, weights) for point in levels]
    assert found == pytest.approx(np.array(expected), rel=1e-12, abs=1e-60)


@given(views())
def test_the_combination_lies_between_the_mean_and_the_largest(case: Case) -> None:
    levels, weights = np.array(case[0]), np.array(case[1])
    found, weighted = combined(levels, weights), levels * weights
    assert (found >= weighted.mean(axis=1) * (1 - 1e-12) - 1e-60).all()
    assert (found <= weighted.max(axis=1) * (1 + 1e-12)).all()


@given(views(), st.data())
def test_more_in_one_view_is_never_less_in_all(case: Case, data: st.DataObject) -> None:
    levels, weights = np.array(case[0]), np.array(case[1])
    view = data.draw(st.integers(0, len(weights) - 1))
    more = levels.copy()
    more[:, view] += data.draw(Level)
    assert (combined(more, weights) >= combined(levels, weights)).all()


@given(views())
def test_a_combination_does_not_depend_on_its_batch(case: Case) -> None:
    levels, weights = np.array(case[0]), np.array(case[1])
    together = combined(levels, weights)
    assert combined(np.asfortranarray(levels), weights).tobytes() == together.tobytes()
    for one, found in zip(levels, together, strict=True):
        assert combined(one[None], weights).tobytes() == found.tobytes()


def test_one_view_of_weight_1_is_what_it_says() -> None:
    levels = np.array([[0.0], [0.7], [3.0], [1e5]])
    assert combined(levels, np.ones(1)) == pytest.approx(levels[:, 0], rel=1e-15)


def test_one_view_that_sees_much_outweighs_many_that_see_nothing() -> None:
    assert combined(np.array([[16.0, 0.0, 0.0, 0.0]]), np.ones(4))[0] > 2 * 16.0 / 4


@given(st.lists(Level, min_size=1, max_size=120))
def test_what_lasts_equals_the_slow_version(levels: list[float]) -> None:
    expected = np.array(reference.lasting(levels))
    assert severities(levels) == pytest.approx(expected, rel=1e-9, abs=1e-300)


@given(st.lists(Level, min_size=1, max_size=120))
def test_severity_is_at_least_the_level_and_at_most_any_so_far(levels: list[float]) -> None:
    found = severities(levels)
    assert (found >= levels).all()
    assert (found <= np.maximum.accumulate(levels) * (1 + 1e-12)).all()


def test_an_onset_counts_at_once_and_a_weak_deviation_more_the_longer_it_lasts() -> None:
    noise = np.random.default_rng(3).exponential(size=400)
    found = severities([*noise[:200], *(noise[200:] + 1.0)])
    assert found[200] >= noise[200] + 1.0
    assert np.median(found[360:]) > np.median(noise[360:] + 1.0)
    assert np.median(found[360:]) > 1.5 * np.median(found[160:200])


def test_what_ended_is_forgotten_by_half_over_the_longest_half_life() -> None:
    found = severities([*[8.0] * 600, *[0.0] * 640])
    assert found[599] == 8.0
    assert found[599 + 64] == pytest.approx(4.0, rel=1e-2)
    assert found[599 + 640] == pytest.approx(8.0 / 2**10, rel=1e-2)
    assert (np.diff(found[599:]) < 0).all()


def test_entities_of_a_batch_remember_for_themselves() -> None:
    generator = np.random.default_rng(1)
    recent, levels = generator.exponential(size=(9, 3)), generator.exponential(size=9)
    together = remember(recent, levels)
    for one in range(9):
        alone = remember(recent[[one]], levels[[one]])
        assert alone.tobytes() == together[[one]].tobytes()
        assert sustained(alone, levels[[one]])[0] == sustained(together, levels)[one]
