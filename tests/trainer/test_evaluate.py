import numpy as np
import pytest

from service.scoring.series import Segment, Series
from trainer.evaluate import mean_over_entities, measure
from trainer.floors import Answers, floors

DAY_OF_MINUTES = 1440


def series(values: np.ndarray, *, segments: tuple[Segment, ...] = ()) -> Series:
    """Minutes of one entity, labelled where the segments are."""
    label = np.zeros(len(values), bool)
    for segment in segments:
        label[segment.start : segment.end + 1] = True
    return Series(
        entity="alpha",
        dimensions=tuple(f"d{index}" for index in range(values.shape[1])),
        timestamps_ms=60_000 * np.arange(len(values), dtype=np.int64),
        values=values,
        label=label,
        segments=segments,
    )


def label_of(one: Series) -> np.ndarray:
    assert one.label is not None
    return one.label


def perfect(one: Series) -> Answers:
    """Scores and contributions that know the labels."""
    contribution = np.zeros(one.values.shape)
    for segment in one.segments:
        contribution[segment.start : segment.end + 1, list(segment.dimensions)] = 1.0
    return Answers(label_of(one).astype(float), contribution, label_of(one))


def test_a_row_that_knows_the_labels_gets_every_measure_right() -> None:
    one = series(
        np.zeros((DAY_OF_MINUTES, 5)), segments=(Segment(0, 9, (1, 3)), Segment(700, 719, (4,)))
    )
    found = measure(one, perfect(one), period_seconds=60)
    assert found.pop("vus_pr") > 0.9
    assert found.pop("median_delay_points") == 0.0
    assert found.pop("p90_delay_points") == 0.0
    assert found.pop("false_episodes_per_day") == 0.0
    assert set(found) == {
        "average_precision",
        "oracle_f1",
        "oracle_composite_f1",
        "composite_f1",
        "event_recall",
        "event_recall_within_5",
        "point_adjusted_f1",
        "hit_rate_100",
        "hit_rate_150",
        "rc_top_3",
        "ndcg_100",
    }
    assert set(found.values()) == {1.0}


def test_false_episodes_are_counted_per_day_of_scored_points() -> None:
    one = series(np.zeros((2 * DAY_OF_MINUTES, 2)), segments=(Segment(0, 9, ()),))
    flags = np.zeros(2 * DAY_OF_MINUTES, bool)
    flags[[500, 1000, 1500]] = True
    answers = Answers(np.ones(len(flags)), np.zeros((len(flags), 2)), flags)
    assert measure(one, answers, period_seconds=60)["false_episodes_per_day"] == 1.5


def test_points_without_a_score_are_cut_out_of_everything() -> None:
    generator = np.random.default_rng(0)
    segments = (Segment(0, 20, (0,)), Segment(60, 79, (1,)), Segment(150, 160, (2,)))
    one = series(np.zeros((200, 3)), segments=segments)
    score, contribution = generator.normal(size=200), generator.random((200, 3))
    score[:30] = np.nan
    contribution[:30] = np.nan
    flags = np.nan_to_num(score) > 1.0
    shorter = series(np.zeros((170, 3)), segments=(Segment(30, 49, (1,)), Segment(120, 130, (2,))))
    assert measure(one, Answers(score, contribution, flags), period_seconds=60) == measure(
        shorter, Answers(score[30:], contribution[30:], flags[30:]), period_seconds=60
    )


def test_the_points_that_count_may_be_those_another_row_scored() -> None:
    one = series(np.zeros((100, 2)), segments=(Segment(0, 4, (0,)), Segment(50, 59, (1,))))
    score = np.zeros(100)
    score[50:60] = 1.0
    is_scored = np.arange(100) >= 10
    answers = Answers(score, np.zeros((100, 2)))
    missed = measure(one, answers, period_seconds=60)
    assert missed["average_precision"] < 1.0
    cut = measure(one, answers, period_seconds=60, is_scored=is_scored)
    assert cut["average_precision"] == 1.0


def test_severity_ranks_the_score_opens_incidents_and_flags_decide() -> None:
    one = series(np.zeros((400, 2)), segments=(Segment(100, 109, ()), Segment(300, 309, ())))
    generator = np.random.default_rng(6)
    score, severity = generator.random(400), generator.random(400) + 0.3 * label_of(one)
    flags = score > 0.9
    found = measure(one, Answers(score, None, flags, severity), period_seconds=60, vus_width=20)
    ranked = measure(one, Answers(severity, None), period_seconds=60, vus_width=20)
    decided = measure(one, Answers(score, None, flags), period_seconds=60, vus_width=20)
    by_severity = {"average_precision", "vus_pr", "vus_pr_file", "oracle_f1"}
    assert by_severity < set(found)
    assert set(found) == set(decided)
    for name, value in found.items():
        assert value == (ranked if name in by_severity else decided)[name], name
    assert found["vus_pr"] != found["vus_pr_file"]


def test_what_a_threshold_flags_outside_events_is_compared_with_what_it_was_meant_to() -> None:
    one = series(np.zeros((1010, 2)), segments=(Segment(0, 9, ()),))
    flags = np.arange(1010) < 30  # 10 inside the event, 20 of 1000 outside
    answers = Answers(np.ones(1010), None, flags)
    found = measure(one, answers, period_seconds=60, nominal_share=0.01)
    assert found["flagged_over_nominal"] == pytest.approx(2.0)
    assert "flagged_over_nominal" not in measure(one, answers, period_seconds=60)


def test_an_event_found_late_is_not_found_in_time() -> None:
    one = series(np.zeros((100, 2)), segments=(Segment(10, 29, ()), Segment(60, 79, ())))
    flags = np.isin(np.arange(100), [15, 66])
    found = measure(one, Answers(np.ones(100), None, flags), period_seconds=60)
    assert found["event_recall"] == 1.0
    assert found["event_recall_within_5"] == 0.5
    assert found["median_delay_points"] == 5.5
    assert found["p90_delay_points"] == pytest.approx(5.9)


def test_a_row_without_a_threshold_has_no_measures_of_decisions() -> None:
    one = series(np.zeros((100, 2)), segments=(Segment(50, 59, (1,)),))
    found = measure(one, Answers(np.ones(100), np.ones((100, 2))), period_seconds=60)
    assert "event_recall" not in found
    assert "average_precision" in found


def test_contributions_are_averaged_over_the_segment() -> None:
    one = series(np.zeros((100, 3)), segments=(Segment(50, 51, (1,)),))
    contribution = np.zeros((100, 3))
    contribution[50] = [5.0, 4.0, 0.0]
    contribution[51] = [0.0, 4.0, 0.0]
    found = measure(one, Answers(np.ones(100), contribution), period_seconds=60)
    assert found["hit_rate_100"] == 1.0


def test_attribution_is_silent_where_nobody_knows_the_culprits() -> None:
    one = series(np.zeros((100, 3)), segments=(Segment(50, 51, ()),))
    found = measure(one, Answers(np.ones(100), np.ones((100, 3))), period_seconds=60)
    assert "hit_rate_100" not in found


def test_without_labels_or_events_nothing_undefined_is_reported() -> None:
    flags = np.zeros(100, bool)
    answers = Answers(np.ones(100), np.ones((100, 3)), flags)
    calm = series(np.zeros((100, 3)))
    assert measure(calm, answers, period_seconds=60) == {"false_episodes_per_day": 0.0}
    unlabelled = Series(calm.entity, calm.dimensions, calm.timestamps_ms, calm.values, None, ())
    assert measure(unlabelled, answers, period_seconds=60) == {}


def test_each_entity_counts_once_and_only_where_a_measure_is_defined() -> None:
    assert mean_over_entities([{"a": 1.0, "b": 4.0}, {"a": 2.0}, {}]) == {"a": 1.5, "b": 4.0}
    assert mean_over_entities([]) == {}


def coupled(count: int, *, seed: int) -> np.ndarray:
    """Eight dimensions that follow two loads."""
    generator = np.random.default_rng(seed)
    loads = np.stack([np.sin(np.arange(count) / 9.0), np.cos(np.arange(count) / 31.0)], axis=1)
    mixing = np.random.default_rng(99).normal(size=(2, 8))
    return 100.0 + loads @ mixing + 0.01 * generator.normal(size=(count, 8))


def test_pca_finds_a_broken_relation_that_the_input_itself_does_not_show() -> None:
    values = coupled(600, seed=2)
    values[300:320, 5] = values[300:320, 5].mean() + (
        values[300:320, 5].mean() - values[300:320, 5]
    )
    values[300:320, 5] += 0.4 * np.sign(100.0 - values[300:320, 5])
    test = series(values, segments=(Segment(300, 319, (5,)),))
    rows = floors(series(coupled(600, seed=1)), test)
    found = {row: measure(test, answers, period_seconds=60) for row, answers in rows.items()}
    assert found["pca"]["average_precision"] > 0.95
    assert found["pca"]["hit_rate_100"] == 1.0
    assert found["input"]["average_precision"] < 0.5
    assert found["random"]["average_precision"] < 0.2


def test_the_random_floor_is_seeded() -> None:
    train, test = series(coupled(100, seed=1)), series(coupled(100, seed=2))
    first, again = (floors(train, test, seed=7)["random"] for _ in range(2))
    assert np.array_equal(first.score, again.score)
    assert not np.array_equal(first.score, floors(train, test, seed=8)["random"].score)


def test_floors_stand_missing_values_and_constant_dimensions() -> None:
    values = coupled(100, seed=1)
    values[:, 0], values[10:20, 1] = 3.0, np.nan
    for answers in floors(series(values), series(values)).values():
        assert np.isfinite(answers.score).all()
        assert answers.contribution is not None
        assert np.isfinite(answers.contribution).all()


def test_the_input_itself_is_scaled_by_the_training_half() -> None:
    train = series(np.array([[0.0, 10.0], [2.0, 30.0]]).repeat(20, axis=0))
    test = series(np.array([[1.0, 20.0], [4.0, 10.0]]))
    scaled = floors(train, test)["input"]
    assert scaled.contribution == pytest.approx(np.array([[0.5, 0.5], [2.0, 0.0]]))
    assert scaled.score == pytest.approx(np.array([1.0, 2.0]))
