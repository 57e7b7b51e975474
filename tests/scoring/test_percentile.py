from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, strategies as st

from service.scoring.fold import Fold
from service.scoring.incident import RESOLVE_AFTER, Transition
from service.scoring.offline import Scored, score_series
from service.scoring.percentile import Decision, by_percentile
from tests.builders import NEED, PERIOD_MS, series_like

COUNT = 60


@pytest.fixture(scope="module")
def scored(fold: Fold) -> Scored:
    [scored] = score_series(fold, [series_like("alpha", COUNT, seed=5)])
    return scored


def decided(fold: Fold, scored: Scored, percentile: float) -> Decision:
    stamps = PERIOD_MS * np.arange(len(scored.score))
    return by_percentile(scored, stamps, percentile=percentile, manifest=fold.bundle.manifest)


@given(
    st.lists(st.integers(0, 8), min_size=COUNT - NEED, max_size=COUNT - NEED), st.floats(0.1, 50)
)
def test_as_many_points_as_asked_for_are_marked_but_for_ties(
    fold: Fold, scored: Scored, ranks: list[int], percentile: float
) -> None:
    score = np.concatenate([np.full(NEED, np.nan), np.array(ranks) / 4.0])
    tied = replace(scored, score=score, p_value=np.exp(-score))
    decision = decided(fold, tied, percentile)
    count = -int(-percentile / 100 * len(ranks) // 1)  # rounded up
    first_quiet = sorted(ranks, reverse=True)[count]
    expected = [False] * NEED + [rank > first_quiet for rank in ranks]
    assert decision.scored.is_anomaly.tolist() == expected
    assert decision.scored.is_anomaly.sum() <= count
    assert np.array_equal(decision.scored.is_anomaly, decision.scored.score > 1.0)
    assert decision.threshold_p == np.exp(-first_quiet / 4.0)


def test_incidents_are_runs_of_marks(fold: Fold, scored: Scored) -> None:
    score = np.full(COUNT, 0.5)
    score[:NEED] = np.nan
    score[[20, 22, 40]] = [3.0, 4.0, 5.0]
    told = decided(fold, replace(scored, score=score), 5.0).scored.told
    opened, resolved = Transition.OPENED, Transition.RESOLVED
    rows = [(one.row, one.transition) for one in told if one.transition in (opened, resolved)]
    last = (22 + RESOLVE_AFTER, 40 + RESOLVE_AFTER)
    assert rows == [(20, opened), (last[0], resolved), (40, opened), (last[1], resolved)]
    assert [int(one.incident["anomalies"]) for one in told if one.transition == resolved] == [2, 1]


def test_where_nothing_was_scored_nothing_is_marked(fold: Fold, scored: Scored) -> None:
    nothing = np.full(COUNT, np.nan)
    decision = decided(fold, replace(scored, score=nothing, p_value=nothing), 10.0)
    assert not decision.scored.is_anomaly.any()
    assert np.isnan(decision.threshold_p)
    assert decision.scored.told == []
