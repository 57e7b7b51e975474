import math

import numpy as np
import pytest
from hypothesis import given, strategies as st

from tests.trainer import slow_measures as slow
from tests.trainer.labelled import Case, labelled_scores, labels
from trainer.measures import ranking
from trainer.measures.point_adjusted import point_adjusted_f1


@given(labelled_scores())
def test_average_precision_is_the_sum_over_distinct_thresholds(
    case: Case,
) -> None:
    assert ranking.average_precision(*case) == pytest.approx(slow.average_precision(*case))


@given(labelled_scores())
def test_oracle_measures_are_the_best_of_all_thresholds(case: Case) -> None:
    assert ranking.oracle_f1(*case) == pytest.approx(slow.oracle_f1(*case))
    assert ranking.oracle_composite_f1(*case) == pytest.approx(slow.oracle_composite_f1(*case))


@given(labelled_scores(), st.integers(0, 12), st.integers(2, 30))
def test_vus_pr_is_the_mean_over_buffers_of_the_loop_over_thresholds(
    case: Case, width: int, thresholds: int
) -> None:
    fast = ranking.vus_pr(*case, width=width, thresholds=thresholds)
    obvious = slow.vus_pr(*case, width=width, thresholds=thresholds)
    assert fast == pytest.approx(obvious, abs=1e-12)


@pytest.mark.parametrize("text", ["##....", "....##", "#....#", "..##..", "######"])
def test_a_perfect_score_is_perfect_wherever_its_events_lie(text: str) -> None:
    label = labels(text)
    score = label.astype(float)
    assert ranking.average_precision(label, score) == 1.0
    assert ranking.oracle_f1(label, score) == 1.0
    assert ranking.oracle_composite_f1(label, score) == 1.0
    assert ranking.vus_pr(label, score, width=0) == pytest.approx(1.0)


def test_average_precision_of_a_case_worked_by_hand() -> None:
    label = labels("#.#.")
    # thresholds 4, 3, 2, 1: recall 1/2, 1/2, 1, 1; precision 1, 1/2, 2/3, 1/2
    score = np.array([4.0, 3.0, 2.0, 1.0])
    assert ranking.average_precision(label, score) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)


def test_one_value_everywhere_is_worth_the_share_of_labelled_points() -> None:
    assert ranking.average_precision(labels("..#."), np.ones(4)) == 0.25


def test_vus_pr_looks_only_at_the_order_of_scores() -> None:
    generator = np.random.default_rng(3)
    label, score = generator.random(400) < 0.1, generator.normal(size=400)
    assert ranking.vus_pr(label, score) == ranking.vus_pr(label, np.exp(3.0 * score))


def test_vus_pr_forgives_an_alarm_just_beside_the_event() -> None:
    label = labels("." * 30 + "#####" + "." * 30)
    beside, far = np.zeros(65), np.zeros(65)
    beside[26:30], far[2:6] = 1.0, 1.0
    assert ranking.vus_pr(label, beside, width=20) > 2 * ranking.vus_pr(label, far, width=20)


EDGES = {
    "an event at the first point": "##..........................#...",
    "an event at the last point": "....#.........................##",
    "a single event": "..............####..............",
    "events closer than the buffer": "....#..##.#.....###..........#..",
    "one labelled point": "................#...............",
    "nothing but an event": "################################",
}


@pytest.mark.parametrize("width", [1, 2, 9, 37, 125])
@pytest.mark.parametrize("name", EDGES)
def test_vus_pr_of_any_width_equals_its_loop_at_the_edges(name: str, width: int) -> None:
    label, generator = labels(EDGES[name]), np.random.default_rng(5)
    tied = generator.integers(0, 4, size=len(label)).astype(float)
    for score in (generator.normal(size=len(label)) + label, tied, np.ones(len(label))):
        fast = ranking.vus_pr(label, score, width=width, thresholds=12)
        obvious = slow.vus_pr(label, score, width=width, thresholds=12)
        assert fast == pytest.approx(obvious, abs=1e-12)


def test_a_wider_buffer_forgives_more() -> None:
    label = labels("." * 40 + "#####" + "." * 40)
    late = np.zeros(85)
    late[47:52] = 1.0
    narrow, middle, wide = (ranking.vus_pr(label, late, width=width) for width in (4, 40, 160))
    assert narrow < middle < wide


def test_without_labelled_points_no_ranking_is_defined() -> None:
    label, score = labels("....."), np.arange(5.0)
    assert math.isnan(ranking.average_precision(label, score))
    assert math.isnan(ranking.vus_pr(label, score, width=3))
    assert math.isnan(ranking.oracle_f1(label, score))
    assert math.isnan(ranking.oracle_composite_f1(label, score))
    assert math.isnan(point_adjusted_f1(label, score))


@given(labelled_scores())
def test_point_adjusted_f1_is_the_best_of_all_thresholds(case: Case) -> None:
    assert point_adjusted_f1(*case) == pytest.approx(slow.point_adjusted_f1(*case))


@given(labelled_scores())
def test_point_adjusted_f1_never_falls_below_the_f1_it_inflates(case: Case) -> None:
    assert point_adjusted_f1(*case) >= ranking.oracle_f1(*case) - 1e-12


def test_point_adjusted_f1_of_a_case_worked_by_hand() -> None:
    label = labels("####..##..")
    score = np.array([0, 9, 0, 0, 8, 0, 0, 7, 0, 0], float)
    # thresholds 9, 8, 7: 4, 4, 6 hits; 0, 1, 1 false; 6 labelled
    assert point_adjusted_f1(label, score) == pytest.approx(2 * 6 / (6 + 1 + 6))
    assert ranking.oracle_f1(label, score) == pytest.approx(2 * 6 / (6 + 4 + 6))  # flag everything


def test_point_adjusted_f1_praises_noise_where_events_are_long() -> None:
    generator = np.random.default_rng(1)
    label = np.arange(20_000) % 1000 < 100
    noise = generator.random(len(label))
    assert ranking.oracle_f1(label, noise) < 0.2
    assert point_adjusted_f1(label, noise) > 0.8
