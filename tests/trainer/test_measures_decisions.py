import math

import numpy as np
import pytest
from hypothesis import given, strategies as st

from service.scoring.incident import RESOLVE_AFTER
from tests.trainer import slow_measures as slow
from tests.trainer.labelled import Case, labelled_scores, labels
from trainer.measures import decisions


@given(labelled_scores(), st.integers(0, 4))
def test_measures_of_flags_equal_their_loops(case: Case, gap: int) -> None:
    label, flags = case[0], case[1] > 4
    assert decisions.composite_f1(label, flags) == pytest.approx(slow.composite_f1(label, flags))
    assert decisions.event_recall(label, flags) == pytest.approx(slow.event_recall(label, flags))
    found = decisions.false_episodes(label, flags, gap=gap)
    assert found == slow.false_episodes(label, flags, gap=gap)
    delay = decisions.median_delay(label, flags)
    assert delay == pytest.approx(slow.median_delay(label, flags), nan_ok=True)


@given(labelled_scores(), st.integers(0, 8), st.sampled_from([0.0, 0.25, 0.5, 0.9, 1.0]))
def test_recall_within_and_delays_equal_their_loops(
    case: Case, points: int, quantile: float
) -> None:
    label, flags = case[0], case[1] > 4
    recall = decisions.recall_within(label, flags, points=points)
    assert recall == pytest.approx(slow.recall_within(label, flags, points=points))
    delay = decisions.delay_quantile(label, flags, quantile=quantile)
    expected = slow.delay_quantile(label, flags, quantile=quantile)
    assert delay == pytest.approx(expected, nan_ok=True)
    share = decisions.false_share(label, flags)
    assert share == pytest.approx(slow.false_share(label, flags), nan_ok=True)


@given(labelled_scores())
def test_more_patience_never_finds_fewer_events(case: Case) -> None:
    label, flags = case[0], case[1] > 4
    recalls = [decisions.recall_within(label, flags, points=points) for points in range(41)]
    assert recalls == sorted(recalls)
    assert recalls[-1] == decisions.event_recall(label, flags)


def test_without_labelled_points_only_false_alarms_are_defined() -> None:
    label, flags = labels("....."), labels("#...#")
    for decision in (decisions.composite_f1, decisions.event_recall, decisions.median_delay):
        assert math.isnan(decision(label, flags))
    assert math.isnan(decisions.recall_within(label, flags, points=5))
    assert math.isnan(decisions.delay_quantile(label, flags, quantile=0.9))
    assert decisions.false_episodes(label, flags, gap=2) == 2
    assert decisions.false_share(label, flags) == pytest.approx(0.4)


def test_where_every_point_is_labelled_no_alarm_can_be_false() -> None:
    label = labels("#####")
    assert math.isnan(decisions.false_share(label, label))
    assert decisions.false_episodes(label, label) == 0


def test_an_event_is_found_in_time_up_to_and_including_the_last_point_allowed() -> None:
    label = labels("########..##....########")
    flags = labels(".....#......#...###.....")  # 5 points late, after the end, at once
    assert decisions.recall_within(label, flags, points=4) == pytest.approx(1 / 3)
    assert decisions.recall_within(label, flags, points=5) == pytest.approx(2 / 3)
    assert decisions.recall_within(label, flags, points=100) == pytest.approx(2 / 3)


def test_the_quantile_of_delays_lies_between_two_of_them() -> None:
    label = labels("#####.#####.#####")
    flags = labels("#.......#.......#")  # 0, 2 and 4 points late
    assert decisions.delay_quantile(label, flags, quantile=0.9) == pytest.approx(3.6)
    assert decisions.delay_quantile(label, flags, quantile=1.0) == 4.0


def test_alarm_episodes_merge_over_short_pauses_and_count_only_outside_events() -> None:
    label = labels("...........##......")
    flags = labels("#..#......##.......")
    assert decisions.false_episodes(label, flags, gap=1) == 2
    assert decisions.false_episodes(label, flags, gap=2) == 1
    assert decisions.false_episodes(label, flags, gap=9) == 0


def test_delay_counts_from_the_first_labelled_point_and_leaves_missed_events_out() -> None:
    label = labels("###..###..####")
    flags = labels("#..........##.")
    assert decisions.median_delay(label, flags) == 0.5
    assert decisions.event_recall(label, flags) == pytest.approx(2 / 3)


def test_composite_f1_of_a_case_worked_by_hand() -> None:
    # precision 2 / 3, one of two events
    assert decisions.composite_f1(labels(".##..##."), labels("###.....")) == pytest.approx(4 / 7)


def test_an_alarm_episode_is_as_long_as_the_incident_it_opens() -> None:
    for quiet, expected in ((RESOLVE_AFTER - 1, 1), (RESOLVE_AFTER, 2)):
        flags = np.array([True, *[False] * quiet, True])
        assert decisions.false_episodes(np.zeros(len(flags), bool), flags) == expected
