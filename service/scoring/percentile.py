"""Another decision about a scored series: a share of its own points instead of a budget.

Percentile 1 marks the 1 % of its scored points with the smallest p-values. The score is measured
by the new threshold, so that more than 1 is anomalous here too.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from service.scoring.incident import Evidence, Transition, advance, incident_dtype
from service.scoring.manifest import Manifest
from service.scoring.offline import Scored, Told

FloatArray = npt.NDArray[np.float64]

LEAST_THRESHOLD = 1e-9  # a score; of a series in which nothing is odd at all
ROUNDING = 1e-9  # 1 % of 1,700 points is 17, whatever floats make of it


@dataclass(frozen=True)
class Decision:
    """A series decided by percentile."""

    scored: Scored
    threshold_p: float  # an anomaly has a smaller p-value; NaN if nothing was scored


def by_percentile(
    scored: Scored,
    timestamps_ms: npt.NDArray[np.int64],
    *,
    percentile: float,
    manifest: Manifest,
) -> Decision:
    """Mark `percentile` % of the scored points, rounded up, and open incidents by these marks.

    Of points that tie at the threshold none is marked.
    """
    is_scored = np.isfinite(scored.score)
    order = np.argsort(-scored.score[is_scored], kind="stable")
    if not len(order):
        nothing = np.zeros(len(scored.score), bool)
        return Decision(replace(scored, is_anomaly=nothing, told=[]), math.nan)
    marked = math.ceil(percentile / 100.0 * len(order) - ROUNDING)
    first_quiet = np.flatnonzero(is_scored)[order[min(marked, len(order) - 1)]]
    score = scored.score / max(float(scored.score[first_quiet]), LEAST_THRESHOLD)
    decided = replace(scored, score=score, is_anomaly=score > 1.0)
    told = _incidents(decided, timestamps_ms, max_points=_max_points(manifest))
    return Decision(replace(decided, told=told), float(scored.p_value[first_quiet]))


def _incidents(
    scored: Scored, timestamps_ms: npt.NDArray[np.int64], *, max_points: float
) -> list[Told]:
    """What the fold would have told of these marks; a quiet point outside changes nothing."""
    incident = np.zeros(1, incident_dtype(scored.contribution.shape[1]))
    told = []
    for row, is_anomaly in enumerate(scored.is_anomaly.tolist()):
        if not is_anomaly and not incident["is_open"][0]:
            continue
        transition = advance(incident, _evidence(scored, timestamps_ms, row), max_points=max_points)
        if transition[0]:
            told.append(Told(row, Transition(transition[0]), incident[0].copy()))
    return told


def _evidence(scored: Scored, timestamps_ms: npt.NDArray[np.int64], row: int) -> Evidence:
    at = slice(row, row + 1)
    nothing = np.zeros(1, bool)
    return Evidence(
        timestamps_ms=timestamps_ms[at],
        is_flagged=scored.is_anomaly[at],
        score=scored.score[at],
        severity=scored.severity[at],
        contributions=scored.contribution[at],
        holds=nothing,
        is_public=nothing,
    )


def _max_points(manifest: Manifest) -> float:
    return min(view.half_life_points for view in manifest.views)
