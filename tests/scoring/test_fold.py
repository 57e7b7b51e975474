from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from service.errors import BundleInvalid, SettingInvalid
from service.scoring.fold import Decided, Fold, Points, Status, Verdicts, shares_of
from service.scoring.incident import Transition
from service.scoring.missing import LOST_AFTER
from service.scoring.offline import score_series
from service.scoring.rules import PLAIN
from tests import reference
from tests.builders import ENTITIES, NEED, series_like, values_like


def points_of(fold: Fold, values: np.ndarray, *, index: int, time: int = 0) -> Points:
    entity_index = np.full(len(values), index, np.int64)
    timestamps = np.full(len(values), time, np.int64)
    return Points(entity_index, timestamps, fold.centre(values, entity_index))


def run(fold: Fold, values: np.ndarray, *, index: int = 1) -> list[Verdicts]:
    states = fold.fresh(np.array([index]))
    verdicts = []
    for time, row in enumerate(values):
        states, verdict = fold.step(states, points_of(fold, row[None], index=index, time=time))
        verdicts.append(verdict)
    return verdicts


def test_score_is_nan_until_the_state_is_warm(fold: Fold) -> None:
    verdicts = run(fold, values_like("alpha", 10))
    warming = [verdict.status[0] == Status.WARMING for verdict in verdicts]
    assert warming == [True] * (NEED - 1) + [False] * (11 - NEED)
    assert [bool(np.isnan(verdict.score[0])) for verdict in verdicts] == warming


@pytest.mark.parametrize("caps", [(1000.0,) * 4, (1000.0, 6.0, 20.0, 0.5)])
def test_the_fold_equals_the_slow_version(fold: Fold, caps: tuple[float, ...]) -> None:
    calibration = replace(fold.bundle.calibration, cap=np.array([caps] * (1 + len(ENTITIES))))
    fold = Fold(replace(fold.bundle, calibration=calibration))
    values = values_like("alpha", 400, seed=5)
    values[200:210, 1] += 1.5
    threshold = float(fold.decider.thresholds(np.array([1]), PLAIN)[0])
    slow = reference.Entity(fold.bundle, "alpha", threshold=threshold)
    states = fold.fresh(np.array([1]))
    for time, row in enumerate(values):
        points = points_of(fold, row[None], index=1, time=time)
        detection = fold._detector.run(states["model"], points.values, points.entity_index)
        states, verdict = fold.step(states, points)
        if time < NEED - 1:
            continue
        score, severity, contributions, transition = slow.score(detection.error[0])
        assert verdict.score[0] == pytest.approx(score, rel=2e-3)
        assert verdict.severity[0] == pytest.approx(severity, rel=2e-3, abs=1e-5)
        assert verdict.contributions[0] == pytest.approx(contributions, rel=5e-3, abs=1e-4)
        found = Transition(verdict.transition[0])
        assert (found.name if found else "") == transition


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 40), st.integers(0, 2**32 - 1))
def test_a_score_does_not_depend_on_its_batch(fold: Fold, size: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    index = generator.integers(0, 3, size)
    states = fold.fresh(index)
    for time in range(NEED + 2):
        values = generator.normal(size=(size, 4)) * 3 + 10.0 * (index == 2)[:, None]
        values[generator.random((size, 4)) < 0.1] = np.nan
        points = Points(index, np.full(size, time), fold.centre(values, index))
        together, verdicts = fold.step(states, points)
        one = int(generator.integers(size))
        alone, verdict = fold.step(
            states[[one]],
            Points(index[[one]], np.full(1, time), points.values[[one]]),
        )
        assert alone.tobytes() == together[[one]].tobytes()
        for name in ("surprisal", "score", "severity", "contributions", "expected"):
            assert getattr(verdict, name).tobytes() == getattr(verdicts, name)[[one]].tobytes()
        states = together


def test_the_future_never_changes_a_past_score(fold: Fold) -> None:
    series = series_like("alpha", 300)
    [before] = score_series(fold, [series])
    series.values[250:] += 100.0
    [after] = score_series(fold, [series])
    for name in ("score", "severity", "p_value", "is_anomaly", "contribution"):
        past, same = getattr(before, name)[:250], getattr(after, name)[:250]
        assert past.tobytes() == same.tobytes()
    assert (before.score[250:] != after.score[250:]).any()
    assert (before.severity[250:] != after.severity[250:]).any()


def test_series_side_by_side_score_as_alone(fold: Fold) -> None:
    together = score_series(fold, [series_like("alpha", 200), series_like("beta", 120)])
    alone = [score_series(fold, [series_like(e, n)])[0] for e, n in (("alpha", 200), ("beta", 120))]
    for one, other in zip(together, alone, strict=True):
        assert one.score.tobytes() == other.score.tobytes()
        assert one.contribution.tobytes() == other.contribution.tobytes()


def test_snapshot_and_replay_continue_bit_for_bit(fold: Fold) -> None:
    values = values_like("beta", 80, seed=9)
    values[60:64] += 4.0
    states = fold.fresh(np.array([2]))
    snapshot, rows = b"", []
    for time, row in enumerate(values):
        points = points_of(fold, row[None], index=2, time=time)
        states, verdict = fold.step(states, points)
        rows.append((points, verdict))
        if time == 57:
            snapshot = states.tobytes()
    replayed = fold.decode(snapshot)
    assert (replayed["model"]["recent"] > 0).all()
    for points, verdict in rows[58:]:
        known = {field.name: getattr(verdict, field.name) for field in fields(Decided)}
        decided = Decided(**known)
        again, _ = fold.step(replayed, points)
        replayed, same = fold.step(replayed, points, decided)
        assert again.tobytes() == replayed.tobytes()
        assert same.severity.tobytes() == verdict.severity.tobytes()
    assert replayed.tobytes() == states.tobytes()


def test_a_snapshot_of_another_size_is_refused(fold: Fold) -> None:
    with pytest.raises(BundleInvalid, match="snapshot"):
        fold.decode(b"123")


def test_missing_values_are_masked_and_a_vanished_dimension_opens_an_incident(fold: Fold) -> None:
    values = values_like("alpha", 40)
    values[20:30, 2] = np.nan
    verdicts = run(fold, values)
    assert [bool(v.missing[0, 2]) for v in verdicts] == [20 <= t < 30 for t in range(40)]
    assert all(np.isfinite(v.score[0]) for v in verdicts[NEED:])
    opened = [t for t, v in enumerate(verdicts) if v.transition[0] == Transition.OPENED]
    assert 20 + LOST_AFTER - 1 in opened
    lost = verdicts[20 + LOST_AFTER - 1]
    assert lost.contributions[0].argmax() == 2


def test_a_dimension_that_never_came_is_not_lost(fold: Fold) -> None:
    values = values_like("alpha", 40)
    values[:, 3] = np.nan
    assert not any(v.is_flagged[0] and not v.is_anomaly[0] for v in run(fold, values))


def test_a_lost_dimension_becomes_the_new_normal_once(fold: Fold) -> None:
    values = values_like("alpha", 900)
    values[20:600, 2] = np.nan
    values[620:, 2] = np.nan
    verdicts = run(fold, values)
    transitions = [v.transition[0] for v in verdicts]
    settled = transitions.index(Transition.NEW_NORMAL)
    is_lost = [bool(v.is_flagged[0] & ~v.is_anomaly[0]) for v in verdicts]
    assert any(is_lost[20:settled])
    assert not any(is_lost[settled + 1 : 620])
    assert transitions[:600].count(Transition.NEW_NORMAL) == 1
    assert is_lost[620 + LOST_AFTER - 1] or verdicts[620 + LOST_AFTER - 1].is_anomaly[0]


def test_extreme_values_stay_finite(fold: Fold) -> None:
    values = values_like("alpha", 40)
    values[20] = 1e30
    values[21] = -1e30
    verdicts = run(fold, values)
    for verdict in verdicts[NEED:]:
        assert np.isfinite([verdict.score, verdict.severity, verdict.surprisal]).all()
    assert verdicts[20].score[0] > 1


def test_a_shifted_level_becomes_the_new_normal(fold: Fold) -> None:
    values = values_like("alpha", 900)
    values[300:, 1] += 20.0
    verdicts = run(fold, values)
    transitions = [int(v.transition[0]) for v in verdicts]
    assert Transition.NEW_NORMAL in transitions
    settled = transitions.index(Transition.NEW_NORMAL) + 20
    assert np.mean([v.is_anomaly[0] for v in verdicts[settled:]]) < 0.05


def test_a_weak_deviation_that_lasts_grows_in_severity_and_not_in_score(fold: Fold) -> None:
    calm = values_like("alpha", 320, seed=5)
    weak = calm.copy()
    weak[200:, 1] += 0.25
    usual, found = run(fold, calm), run(fold, weak)
    severity, score = (
        np.array([getattr(v, name)[0] for v in found]) for name in ("severity", "score")
    )
    unmoved = np.array([v.severity[0] for v in usual])
    gain = severity - unmoved
    assert (gain[:200] == 0)[NEED:].all()
    assert np.median(gain[240:300]) > 0
    assert np.median(severity[240:300]) > np.median(severity[200:206])
    assert abs(np.median(score[240:300]) - np.median(score[206:240])) < 0.1


def test_what_was_before_weighs_on_severity_alone(fold: Fold) -> None:
    *earlier, last = values_like("alpha", 60, seed=5)
    before, point = fold.fresh(np.array([1])), points_of(fold, last[None], index=1, time=59)
    for time, row in enumerate(earlier):
        before, _ = fold.step(before, points_of(fold, row[None], index=1, time=time))
    worse = before.copy()
    worse["model"]["recent"] = 50.0
    (after, usual), (burdened, heavy) = fold.step(before, point), fold.step(worse, point)
    for name in ("score", "surprisal", "is_anomaly", "contributions", "expected"):
        assert getattr(usual, name).tobytes() == getattr(heavy, name).tobytes()
    assert heavy.severity[0] > 40 > usual.severity[0]
    assert after["entity"].tobytes() == burdened["entity"].tobytes()
    assert after["model"]["normaliser"].tobytes() == burdened["model"]["normaliser"].tobytes()


def test_nothing_is_remembered_while_warming(fold: Fold) -> None:
    states = fold.fresh(np.array([1]))
    for time, row in enumerate(values_like("alpha", NEED + 1)):
        states, _ = fold.step(states, points_of(fold, 1e6 * row[None], index=1, time=time))
        assert (states["model"]["recent"] > 0).any() == (time >= NEED - 1)


def test_a_new_normal_forgets_what_was_severe(fold: Fold) -> None:
    values = values_like("alpha", 900)
    values[300:, 1] += 20.0
    states, worst = fold.fresh(np.array([1])), 0.0
    for time, row in enumerate(values):
        worst = float(states["model"]["recent"].max())
        states, verdict = fold.step(states, points_of(fold, row[None], index=1, time=time))
        if verdict.transition[0] == Transition.NEW_NORMAL:
            break
    assert worst > 5.0
    assert (states["model"]["recent"] == 0).all()


def test_an_unknown_entity_is_calibrating(fold: Fold) -> None:
    verdicts = run(fold, values_like("alpha", 10), index=0)
    assert verdicts[-1].status[0] == Status.CALIBRATING
    assert np.isfinite(verdicts[-1].score[0])


def test_shares_sum_to_one_or_are_all_zero() -> None:
    shares = shares_of(np.array([[1, 3, 0], [0, 0, 0]], np.float32))
    assert shares.sum(axis=1).tolist() == [1.0, 0.0]


@pytest.mark.parametrize("budget", [0.0, -1.0, float("nan"), float("inf")])
def test_a_budget_that_means_nothing_is_refused(fold: Fold, budget: float) -> None:
    with pytest.raises(SettingInvalid, match="budget"):
        Fold(fold.bundle, budget=budget)


def test_the_budget_moves_the_threshold_and_nothing_else(bundle_folder: Path, fold: Fold) -> None:
    lax, strict = (Fold(fold.bundle, budget=budget) for budget in (50.0, 0.01))
    series = [series_like(entity, 300) for entity in ENTITIES]
    usual, rare = score_series(lax, series)[0], score_series(strict, series)[0]
    assert usual.is_anomaly.sum() > rare.is_anomaly.sum()
    assert np.nanmax(rare.score) < np.nanmax(usual.score)
    assert usual.p_value.tobytes() == rare.p_value.tobytes()
    assert usual.severity.tobytes() == rare.severity.tobytes()
