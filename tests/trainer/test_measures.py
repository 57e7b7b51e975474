import math

import numpy as np
import pytest
from hypothesis import given, strategies as st

from service.scoring.incident import RESOLVE_AFTER
from tests.trainer import slow_measures as slow
from trainer import measures
from trainer.measures import BoolArray, FloatArray


def labels(text: str) -> BoolArray:
    """`..##.`: a label of five points with one event."""
    return np.array([character == "#" for character in text])


@st.composite
def labelled_scores(draw: st.DrawFn) -> tuple[BoolArray, FloatArray]:
    """A label with at least one event, and scores with many ties."""
    length = draw(st.integers(1, 40))
    label = draw(st.lists(st.booleans(), min_size=length, max_size=length).filter(any))
    score = draw(st.lists(st.integers(-3, 8), min_size=length, max_size=length))
    return np.array(label), np.array(score, float)


@given(labelled_scores())
def test_average_precision_is_the_sum_over_distinct_thresholds(
    case: tuple[BoolArray, FloatArray],
) -> None:
    assert measures.average_precision(*case) == pytest.approx(slow.average_precision(*case))


@given(labelled_scores())
def test_oracle_measures_are_the_best_of_all_thresholds(case: tuple[BoolArray, FloatArray]) -> None:
    assert measures.oracle_f1(*case) == pytest.approx(slow.oracle_f1(*case))
    assert measures.oracle_composite_f1(*case) == pytest.approx(slow.oracle_composite_f1(*case))


@given(labelled_scores(), st.integers(0, 12), st.integers(2, 30))
def test_vus_pr_is_the_mean_over_buffers_of_the_loop_over_thresholds(
    case: tuple[BoolArray, FloatArray], width: int, thresholds: int
) -> None:
    fast = measures.vus_pr(*case, width=width, thresholds=thresholds)
    obvious = slow.vus_pr(*case, width=width, thresholds=thresholds)
    assert fast == pytest.approx(obvious, abs=1e-12)


@given(labelled_scores(), st.integers(0, 4))
def test_measures_of_flags_equal_their_loops(case: tuple[BoolArray, FloatArray], gap: int) -> None:
    label, flags = case[0], case[1] > 4
    assert measures.composite_f1(label, flags) == pytest.approx(slow.composite_f1(label, flags))
    assert measures.event_recall(label, flags) == pytest.approx(slow.event_recall(label, flags))
    found = measures.false_episodes(label, flags, gap=gap)
    assert found == slow.false_episodes(label, flags, gap=gap)
    delay = measures.median_delay(label, flags)
    assert delay == pytest.approx(slow.median_delay(label, flags), nan_ok=True)


@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=12),
    st.data(),
    st.sampled_from([100, 120, 150, 200]),
)
def test_attribution_equals_its_loops(blame: list[int], data: st.DataObject, percent: int) -> None:
    culprits = data.draw(
        st.lists(st.integers(0, len(blame) - 1), min_size=1, max_size=len(blame), unique=True)
    )
    values = np.array(blame, float)
    fast = measures.hit_rate(values, culprits, percent=percent)
    assert fast == pytest.approx(slow.hit_rate(values, culprits, percent=percent))
    assert measures.ndcg(values, culprits) == pytest.approx(slow.ndcg(values, culprits))


@pytest.mark.parametrize("text", ["##....", "....##", "#....#", "..##..", "######"])
def test_a_perfect_score_is_perfect_wherever_its_events_lie(text: str) -> None:
    label = labels(text)
    score = label.astype(float)
    assert measures.average_precision(label, score) == 1.0
    assert measures.oracle_f1(label, score) == 1.0
    assert measures.oracle_composite_f1(label, score) == 1.0
    assert measures.vus_pr(label, score, width=0) == pytest.approx(1.0)


def test_average_precision_of_a_case_worked_by_hand() -> None:
    label = labels("#.#.")
    # thresholds 4, 3, 2, 1: recall 1/2, 1/2, 1, 1; precision 1, 1/2, 2/3, 1/2
    score = np.array([4.0, 3.0, 2.0, 1.0])
    assert measures.average_precision(label, score) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)


def test_one_value_everywhere_is_worth_the_share_of_labelled_points() -> None:
    assert measures.average_precision(labels("..#."), np.ones(4)) == 0.25


def test_without_labelled_points_nothing_is_defined_but_false_episodes() -> None:
    label, score, flags = labels("....."), np.arange(5.0), labels("#...#")
    for ranking in (
        measures.average_precision,
        measures.vus_pr,
        measures.oracle_f1,
        measures.oracle_composite_f1,
    ):
        assert math.isnan(ranking(label, score))
    for decision in (measures.composite_f1, measures.event_recall, measures.median_delay):
        assert math.isnan(decision(label, flags))
    assert measures.false_episodes(label, flags, gap=2) == 2


def test_vus_pr_looks_only_at_the_order_of_scores() -> None:
    generator = np.random.default_rng(3)
    label, score = generator.random(400) < 0.1, generator.normal(size=400)
    assert measures.vus_pr(label, score) == measures.vus_pr(label, np.exp(3.0 * score))


def test_vus_pr_forgives_an_alarm_just_beside_the_event() -> None:
    label = labels("." * 30 + "#####" + "." * 30)
    beside, far = np.zeros(65), np.zeros(65)
    beside[26:30], far[2:6] = 1.0, 1.0
    assert measures.vus_pr(label, beside, width=20) > 2 * measures.vus_pr(label, far, width=20)


def test_alarm_episodes_merge_over_short_pauses_and_count_only_outside_events() -> None:
    label = labels("...........##......")
    flags = labels("#..#......##.......")
    assert measures.false_episodes(label, flags, gap=1) == 2
    assert measures.false_episodes(label, flags, gap=2) == 1
    assert measures.false_episodes(label, flags, gap=9) == 0


def test_delay_counts_from_the_first_labelled_point_and_leaves_missed_events_out() -> None:
    label = labels("###..###..####")
    flags = labels("#..........##.")
    assert measures.median_delay(label, flags) == 0.5
    assert measures.event_recall(label, flags) == pytest.approx(2 / 3)


def test_composite_f1_of_a_case_worked_by_hand() -> None:
    # precision 2 / 3, one of two events
    assert measures.composite_f1(labels(".##..##."), labels("###.....")) == pytest.approx(4 / 7)


def test_hit_rate_cuts_at_a_percentage_of_the_culprits() -> None:
    blame = np.array([5.0, 4.0, 3.0, 2.0, 1.0])
    assert measures.hit_rate(blame, (0, 2), percent=100) == 0.5
    assert measures.hit_rate(blame, (0, 2), percent=150) == 1.0
    assert measures.hit_rate(blame, (0, 1, 4), percent=150) == pytest.approx(2 / 3)


def test_rc_top_asks_for_one_culprit_among_the_first() -> None:
    blame = np.array([5.0, 4.0, 3.0, 2.0])
    assert measures.rc_top(blame, (2, 3), count=3) == 1.0
    assert measures.rc_top(blame, (3,), count=3) == 0.0


def test_ndcg_is_one_when_the_culprits_come_first() -> None:
    blame = np.array([1.0, 9.0, 8.0, 0.0])
    assert measures.ndcg(blame, (1, 2)) == 1.0
    assert measures.ndcg(blame, (1, 3)) == pytest.approx(1 / (1 + 1 / np.log2(3)))


def test_an_alarm_episode_is_as_long_as_the_incident_it_opens() -> None:
    for quiet, expected in ((RESOLVE_AFTER - 1, 1), (RESOLVE_AFTER, 2)):
        flags = np.array([True, *[False] * quiet, True])
        assert measures.false_episodes(np.zeros(len(flags), bool), flags) == expected
