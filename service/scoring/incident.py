"""Incidents: from verdicts to opened, updated and resolved, for all entities of a batch at once.

One flagged point opens an incident, `RESOLVE_AFTER` points at or below the threshold resolve it,
there is no cool-down. An incident that outlasts the memory of the normaliser is the new normal.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

RESOLVE_AFTER = 5  # points in a row
UPDATE_FACTOR = 2.0  # an open incident is told again when its peak score has grown by this

FloatArray = npt.NDArray[np.float64]


class Transition(IntEnum):
    """What a point did to the incident of its entity."""

    NONE = 0
    OPENED = 1
    UPDATED = 2
    RESOLVED = 3
    NEW_NORMAL = 4


def incident_dtype(dimensions: int) -> np.dtype[np.void]:
    """The open, or last, incident of one entity."""
    return np.dtype(
        [
            ("is_open", "?"),
            ("opened_ms", "<i8"),
            ("points", "<i4"),  # since it opened
            ("anomalies", "<i4"),
            ("quiet", "<i4"),  # points in a row that were not flagged
            ("updates", "<i4"),
            ("peak_score", "<f8"),
            ("told_score", "<f8"),
            ("peak_severity", "<f8"),
            ("blame", "<f8", (dimensions,)),  # contributions summed over flagged points
        ]
    )


@dataclass(frozen=True)
class Evidence:
    """What a batch of points says to the incidents of their entities."""

    timestamps_ms: npt.NDArray[np.int64]  # (batch,)
    is_flagged: npt.NDArray[np.bool_]
    score: FloatArray  # NaN where nothing was scored
    severity: FloatArray  # NaN where nothing was scored
    contributions: npt.NDArray[np.float32]  # (batch, dimension)


def advance(
    incident: npt.NDArray[np.void], evidence: Evidence, *, max_points: float
) -> npt.NDArray[np.uint8]:
    """Advance `incident` (batch,) in place by one point each; returns the transitions (batch,).

    An incident open for more than `max_points` is the new normal.
    """
    opens = evidence.is_flagged & ~incident["is_open"]
    _open(incident, opens, evidence.timestamps_ms)
    is_open = incident["is_open"]
    counts = is_open & evidence.is_flagged
    incident["points"] += is_open
    incident["anomalies"] += counts
    incident["quiet"] = np.where(is_open & ~counts, incident["quiet"] + 1, 0)
    incident["blame"] += np.where(counts[:, None], evidence.contributions, 0.0)
    _raise_peak(incident, "peak_score", np.where(counts, evidence.score, np.nan))
    _raise_peak(incident, "peak_severity", np.where(counts, evidence.severity, np.nan))
    return _transitions(incident, opens, max_points)


def _raise_peak(incident: npt.NDArray[np.void], peak: str, value: FloatArray) -> None:
    incident[peak] = np.fmax(incident[peak], value)


def _open(
    incident: npt.NDArray[np.void],
    opens: npt.NDArray[np.bool_],
    timestamps_ms: npt.NDArray[np.int64],
) -> None:
    incident[opens] = np.zeros(1, incident.dtype)
    incident["is_open"] |= opens
    incident["opened_ms"] = np.where(opens, timestamps_ms, incident["opened_ms"])


def _transitions(
    incident: npt.NDArray[np.void], opens: npt.NDArray[np.bool_], max_points: float
) -> npt.NDArray[np.uint8]:
    is_open = incident["is_open"].copy()
    resolves = is_open & (incident["quiet"] >= RESOLVE_AFTER)
    is_normal_now = is_open & ~resolves & (incident["points"] > max_points)
    grown = incident["peak_score"] >= UPDATE_FACTOR * incident["told_score"]
    updates = is_open & ~opens & ~resolves & ~is_normal_now & grown
    incident["updates"] += updates
    told = opens | updates
    incident["told_score"] = np.where(
        told, np.maximum(incident["peak_score"], 1.0), incident["told_score"]
    )
    incident["is_open"] &= ~(resolves | is_normal_now)
    transitions = np.select(
        [opens, updates, resolves, is_normal_now],
        [Transition.OPENED, Transition.UPDATED, Transition.RESOLVED, Transition.NEW_NORMAL],
        Transition.NONE,
    )
    return transitions.astype(np.uint8)
