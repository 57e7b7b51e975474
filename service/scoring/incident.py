"""Incidents: from verdicts to opened, updated and resolved, for all entities of a batch at once.

Where no rules say otherwise, one flagged point opens an incident, `RESOLVE_AFTER` points at or
below the threshold resolve it, and there is no cool-down. An incident that outlasts the memory of
the normaliser is the new normal.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from service.scoring.layout import aligned
from service.scoring.rules import MAX_OPEN_WINDOW, PLAIN, Rules

RESOLVE_AFTER = int(PLAIN.resolve_after)  # points in a row
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
    return aligned(
        [
            ("is_open", "?"),
            ("is_public", "?"),  # people are told of it
            ("flags", "<u4"),  # of the last points, the newest in the lowest bit
            ("ended_ms", "<i8"),  # when the one before it ended
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
    holds: npt.NDArray[np.bool_]  # not flagged, and not quiet either
    is_public: npt.NDArray[np.bool_]  # people are told of what opens


def advance(
    incident: npt.NDArray[np.void],
    evidence: Evidence,
    *,
    max_points: float,
    rules: Rules = PLAIN,
    decided: npt.NDArray[np.uint8] | None = None,
) -> npt.NDArray[np.uint8]:
    """Advance `incident` (batch,) in place by one point each; returns the transitions (batch,).

    An incident open for more than `max_points` is the new normal. Transitions that were `decided`
    before are taken as they are, for the rules may have changed since; so is the evidence.
    """
    incident["flags"] = (incident["flags"] << np.uint32(1)) | evidence.is_flagged
    if not (incident["is_open"] | evidence.is_flagged).any():
        incident["quiet"] = 0  # nothing is open, and nothing opens
        return np.zeros(len(incident), np.uint8)
    opens = _opens(incident, evidence, rules) if decided is None else decided == Transition.OPENED
    _open(incident, opens, evidence)
    is_open = incident["is_open"]
    counts = is_open & evidence.is_flagged
    incident["points"] += is_open
    incident["anomalies"] += counts
    is_quiet = is_open & ~evidence.is_flagged & ~evidence.holds
    incident["quiet"] = np.where(is_quiet, incident["quiet"] + 1, 0)
    incident["blame"] += np.where(counts[:, None], evidence.contributions, 0.0)
    _raise_peak(incident, "peak_score", np.where(counts, evidence.score, np.nan))
    _raise_peak(incident, "peak_severity", np.where(counts, evidence.severity, np.nan))
    transitions = (
        _transitions(incident, opens, max_points, rules) if decided is None else decided.copy()
    )
    _conclude(incident, transitions, evidence.timestamps_ms)
    return transitions


def end(incident: npt.NDArray[np.void], timestamps_ms: npt.NDArray[np.int64]) -> None:
    """End `incident` (batch,) in place, where it is open."""
    incident["ended_ms"] = np.where(incident["is_open"], timestamps_ms, incident["ended_ms"])
    incident["is_open"] = False


def _opens(
    incident: npt.NDArray[np.void], evidence: Evidence, rules: Rules
) -> npt.NDArray[np.bool_]:
    """k of the last n points are flagged, this one included, and nothing stands against it."""
    age = np.uint32(MAX_OPEN_WINDOW) - rules.open_window.astype(np.uint32)
    flagged = np.bitwise_count(incident["flags"] << age)
    opens = evidence.is_flagged & ~incident["is_open"] & ~rules.is_closed
    is_cool = evidence.timestamps_ms >= incident["ended_ms"] + rules.cool_down_ms
    return np.asarray(opens & is_cool & (flagged >= rules.open_count))


def _raise_peak(incident: npt.NDArray[np.void], peak: str, value: FloatArray) -> None:
    incident[peak] = np.fmax(incident[peak], value)


def _open(incident: npt.NDArray[np.void], opens: npt.NDArray[np.bool_], evidence: Evidence) -> None:
    new = np.zeros(np.count_nonzero(opens), incident.dtype)
    for kept in ("flags", "ended_ms"):
        new[kept] = incident[kept][opens]
    new["is_open"], new["opened_ms"] = True, evidence.timestamps_ms[opens]
    new["is_public"] = evidence.is_public[opens]
    incident[opens] = new


def _transitions(
    incident: npt.NDArray[np.void], opens: npt.NDArray[np.bool_], max_points: float, rules: Rules
) -> npt.NDArray[np.uint8]:
    is_open = incident["is_open"]
    resolves = is_open & (incident["quiet"] >= rules.resolve_after)
    is_normal_now = is_open & ~resolves & (incident["points"] > max_points)
    grown = incident["peak_score"] >= UPDATE_FACTOR * incident["told_score"]
    updates = is_open & ~opens & ~resolves & ~is_normal_now & grown
    transitions = np.select(
        [opens, updates, resolves, is_normal_now],
        [Transition.OPENED, Transition.UPDATED, Transition.RESOLVED, Transition.NEW_NORMAL],
        Transition.NONE,
    )
    return transitions.astype(np.uint8)


def _conclude(
    incident: npt.NDArray[np.void],
    transitions: npt.NDArray[np.uint8],
    timestamps_ms: npt.NDArray[np.int64],
) -> None:
    """Keep what was told, and whether it ended."""
    updates = transitions == Transition.UPDATED
    incident["updates"] += updates
    told = updates | (transitions == Transition.OPENED)
    peak = np.maximum(incident["peak_score"], 1.0)
    incident["told_score"] = np.where(told, peak, incident["told_score"])
    ends = (transitions == Transition.RESOLVED) | (transitions == Transition.NEW_NORMAL)
    incident["ended_ms"] = np.where(ends, timestamps_ms, incident["ended_ms"])
    incident["is_open"] &= ~ends
