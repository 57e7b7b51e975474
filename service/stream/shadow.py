"""Shadows: another version scores the same points silently, and what both say is compared.

A shadow keeps its states in memory alone and starts every entity as if it were new, so that it
warms up first. It writes nothing; a process that ends forgets what was compared. Policies are the
active version's: a shadow opens and ends incidents by the plain rules.
"""

import threading
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from service.scoring.fold import Points, States, Verdicts
from service.scoring.incident import Transition
from service.scoring.offline import lockstep
from service.stream.arena import Held
from service.stream.lane import Arrived, Lane
from service.stream.messages import ShadowReport
from service.stream.rows import Rows
from service.stream.swap import can_take_over

KEPT_PAIRS = 20_000  # the newest points whose scores are compared
QUANTILES = (0.5, 0.9, 0.99)

FloatArray = npt.NDArray[np.float64]


@dataclass
class _Counts:
    """Points and incidents, by who saw them."""

    points: int = 0
    compared: int = 0  # both scored
    flagged_active: int = 0
    flagged_shadow: int = 0
    flagged_both: int = 0
    opened_active: int = 0
    opened_shadow: int = 0
    opened_together: int = 0  # by the shadow while the active one's was open, or the other way


class Shadow:
    """One version beside the active one of the same bundle."""

    def __init__(self, active: Lane, shadow: Lane) -> None:
        """Both lanes; the arena of `shadow` is ours alone."""
        self.active, self.lane = active, shadow
        self.is_comparable = can_take_over(active, shadow)
        self._counts = _Counts()
        self._pairs = np.full((KEPT_PAIRS, 4), np.nan)  # score and severity, active and shadow
        self._next = 0
        self._lock = threading.Lock()

    def score(self, arrived: Arrived, rows: Rows) -> None:
        """Score what the active version has just scored, with its `rows` (point,).

        An entity whose points were seen already, because its commit was refused, is left out.
        """
        if not self.is_comparable:
            return
        states, is_new = self._states(arrived)
        index = self.lane.entity_indices(arrived.entities)
        before = self.active.center(self.active.entity_indices(arrived.entities))
        shift = (before - self.lane.center(index)).astype(np.float32)
        for time, members in lockstep(arrived.counts):
            members = members[is_new[members]]
            if len(members) == 0:
                continue
            at = arrived.starts[members] + time
            values = arrived.values[at] + shift[members]
            points = Points(index[members], arrived.timestamps_ms[at], values)
            states[members], verdicts = self.lane.fold.step(states[members], points)
            self._compare(rows[at], verdicts)
        self._keep(arrived, states, is_new)

    def report(self) -> ShadowReport:
        """What both said so far, in this process."""
        with self._lock:
            counts, pairs = self._counts, self._pairs[np.isfinite(self._pairs).all(axis=1)]
        apart = np.abs(pairs[:, 0] - pairs[:, 2])
        either = counts.flagged_active + counts.flagged_shadow - counts.flagged_both
        return ShadowReport(
            active=self.active.fold.bundle.title,
            shadow=self.lane.fold.bundle.title,
            is_comparable=self.is_comparable,
            entities=len(self.lane.arena),
            points=counts.points,
            compared=counts.compared,
            score_correlation=_rank_correlation(pairs[:, 0], pairs[:, 2]),
            severity_correlation=_rank_correlation(pairs[:, 1], pairs[:, 3]),
            score_difference={f"p{100 * q:g}": _quantile(apart, q) for q in QUANTILES},
            flagged_active=counts.flagged_active,
            flagged_shadow=counts.flagged_shadow,
            flagged_both=counts.flagged_both,
            flagged_overlap=counts.flagged_both / either if either else None,
            incidents_active=counts.opened_active,
            incidents_shadow=counts.opened_shadow,
            incidents_together=counts.opened_together,
        )

    def _states(self, arrived: Arrived) -> tuple[States, npt.NDArray[np.bool_]]:
        """States of the entities, and whether their points are new to us."""
        arena, held = self.lane.arena, []
        for entity in arrived.entities:
            known = arena.get(entity)
            if known is None:
                fresh = self.lane.fold.fresh(self.lane.entity_indices([entity]))
                known = arena.put(entity, fresh[0], Held(-1))
            held.append(known)
        newest_ms = np.array([one.timestamp_ms for one in held])
        return arena.states(held), arrived.timestamps_ms[arrived.starts[:-1]] > newest_ms

    def _keep(self, arrived: Arrived, states: States, is_new: npt.NDArray[np.bool_]) -> None:
        last_ms = arrived.timestamps_ms[arrived.starts[1:] - 1].tolist()
        for member in np.flatnonzero(is_new).tolist():
            entity, held = arrived.entities[member], Held(-1, timestamp_ms=last_ms[member])
            self.lane.arena.put(entity, states[member], held)

    def _compare(self, rows: Rows, ours: Verdicts) -> None:
        theirs_open = rows["opened_ms"] > 0
        theirs_opened = rows["transition"] == Transition.OPENED
        opened, is_open = ours.transition == Transition.OPENED, ours.incident["is_open"]
        pairs = np.stack([rows["score"], rows["severity"], ours.score, ours.severity], axis=1)
        counted = np.isfinite(pairs).all(axis=1)
        flagged, shadowed = rows["is_flagged"][counted], ours.is_flagged[counted]
        with self._lock:
            counts = self._counts
            counts.points += len(rows)
            counts.compared += int(counted.sum())
            counts.flagged_active += int(flagged.sum())
            counts.flagged_shadow += int(shadowed.sum())
            counts.flagged_both += int((flagged & shadowed).sum())
            counts.opened_active += int(theirs_opened.sum())
            counts.opened_shadow += int(opened.sum())
            together = (opened & theirs_open) | (theirs_opened & is_open)
            counts.opened_together += int(together.sum())
            for pair in pairs[counted]:
                self._pairs[self._next % KEPT_PAIRS] = pair
                self._next += 1


def _rank_correlation(first: FloatArray, second: FloatArray) -> float | None:
    """Spearman's, None where there is nothing to correlate."""
    if len(first) < 3:
        return None
    ranks = [np.argsort(np.argsort(each, kind="stable")) for each in (first, second)]
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def _quantile(values: FloatArray, q: float) -> float | None:
    return float(np.quantile(values, q)) if len(values) else None
