"""Slow and obvious versions of the scoring: one point, one dimension at a time, plain Python.

Written from the formulas in docs/scoring.md, not from the code they check.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy import stats

from service.scoring.bundle import Bundle, View
from service.scoring.tail import SURPRISAL_GRID


def normal_surprisal(z: float) -> float:
    return float(-stats.norm.logsf(z))


def surprisal(aggregate: float, knots: Sequence[float], tail: Sequence[float]) -> float:
    threshold, share, shape, scale = tail
    if aggregate <= threshold:
        return rank(aggregate, knots)
    return float(-math.log(share) - stats.genpareto.logsf(aggregate - threshold, shape, 0, scale))


def rank(aggregate: float, knots: Sequence[float]) -> float:
    """-ln P(A >= aggregate): knot k is the least value that a share exp(-GRID[k]) reaches."""
    below = [number for number, knot in enumerate(knots) if knot < aggregate]
    if not below:
        return 0.0  # every point reaches it
    last = below[-1]
    way = (aggregate - knots[last]) / (knots[last + 1] - knots[last])
    return float(SURPRISAL_GRID[last] + way * (SURPRISAL_GRID[last + 1] - SURPRISAL_GRID[last]))


def aggregate(nats: Sequence[float], view: View) -> float:
    if view.aggregation == "sum":
        return sum(nats)
    if view.aggregation == "sum_sqrt":
        return sum(math.sqrt(nat) for nat in nats)
    largest = sorted(nats)[-view.top :]
    return sum(largest) / len(largest)


def power_mean(levels: Sequence[float], weights: Sequence[float]) -> float:
    """Of order 4."""
    weighted = [weight * level for level, weight in zip(levels, weights, strict=True)]
    return float((sum(one**4 for one in weighted) / len(weighted)) ** 0.25)


def lasting(levels: Sequence[float]) -> list[float]:
    """Each level, or the largest of its averages over half-lives of 4, 16 and 64 points."""
    averages, lasting = {4: 0.0, 16: 0.0, 64: 0.0}, []
    for level in levels:
        for half_life in averages:
            kept = 0.5 ** (1 / half_life)
            averages[half_life] = kept * averages[half_life] + (1 - kept) * level
        lasting.append(max(level, *averages.values()))
    return lasting


@dataclass
class Normaliser:
    """Mean and deviation of one view's error in one dimension."""

    view: View
    mean: float
    deviation: float

    def judge(self, error: float) -> float:
        return (error - self.mean) / max(self.deviation, self.view.floor)

    def learn(self, error: float) -> None:
        rate = 1 - 2 ** (-1 / self.view.half_life_points)
        spread = max(self.deviation, self.view.floor)
        surprise = min(max(self.judge(error), -3.0), 3.0) * spread
        self.mean += rate * surprise
        self.deviation = math.sqrt((1 - rate) * self.deviation**2 + rate * surprise**2)


@dataclass
class Incident:
    """One entity's incident: opens at a flagged point, resolves after five that are not."""

    is_open: bool = False
    quiet: int = 0
    told: float = 0.0
    peak: float = 0.0
    transitions: list[str] = field(default_factory=list)

    def advance(self, *, is_flagged: bool, score: float) -> str:
        if not self.is_open and not is_flagged:
            return ""
        if not self.is_open:
            self.is_open, self.quiet, self.peak = True, 0, score
            self.told = max(score, 1.0)
            return "OPENED"
        self.quiet = 0 if is_flagged else self.quiet + 1
        if self.quiet == 5:
            self.is_open = False
            return "RESOLVED"
        if is_flagged:
            self.peak = max(self.peak, score)
        if self.peak >= 2 * self.told:
            self.told = self.peak
            return "UPDATED"
        return ""


class Entity:
    """The fold of one entity that was trained on, without missing values."""

    def __init__(self, bundle: Bundle, entity: str, *, threshold: float) -> None:
        self.bundle = bundle
        self.index = bundle.entity_indices[entity]
        self.threshold = threshold
        self.incident = Incident()
        self.severities: list[float] = []  # of each point alone
        self.exceedance_rate = 0.002
        seed = bundle.calibration.seed[self.index]
        self.normalisers = [
            [Normaliser(view, *seed[v, d]) for d in range(len(bundle.manifest.dimensions))]
            for v, view in enumerate(bundle.manifest.views)
        ]

    def score(self, error: np.ndarray) -> tuple[float, float, list[float], str]:
        """From errors (member, dimension): score, severity, contributions, transition."""
        manifest, calibration = self.bundle.manifest, self.bundle.calibration
        levels, contributions = [], [0.0] * len(manifest.dimensions)
        errors = [self._view_error(error, view) for view in manifest.views]
        for v, view in enumerate(manifest.views):
            judged = zip(self.normalisers[v], errors[v], strict=True)
            said = [normal_surprisal(one.judge(e)) for one, e in judged]
            nats = [
                min(nat, cap) for nat, cap in zip(said, calibration.cap[self.index], strict=True)
            ]
            knots, tail = calibration.knots[self.index, v], calibration.tail[self.index, v]
            levels.append(surprisal(aggregate(nats, view), knots, tail))
            for d, nat in enumerate(nats if view.role != "severity" else ()):
                excess = max(0.0, nat - math.log(2))
                contributions[d] += excess / calibration.excess[self.index, v]
        alarm = self._combined(levels, "score")
        last = calibration.knots[self.index, -1], calibration.tail[self.index, -1]
        score = self._drifted(surprisal(alarm, *last)) / self.threshold
        transition = self.incident.advance(is_flagged=score > 1, score=score)
        for v in range(len(manifest.views)):
            for one, e in zip(self.normalisers[v], errors[v], strict=True):
                one.learn(e)
        self.severities.append(self._combined(levels, "severity"))
        return score, lasting(self.severities)[-1], contributions, transition

    def _drifted(self, surprisal: float) -> float:
        """Less surprised by one that exceeds p = .002 more than four times too often."""
        corrected = max(surprisal - max(math.log(self.exceedance_rate / 0.008), 0.0), 0.0)
        half_life = min(view.half_life_points for view in self.bundle.manifest.views)
        kept = 0.5 ** (1 / half_life)
        self.exceedance_rate *= kept
        self.exceedance_rate += (1 - kept) * (surprisal > -math.log(0.002))
        return corrected

    def _view_error(self, error: np.ndarray, view: View) -> list[float]:
        member = error[self.bundle.manifest.members.index(view.member)]
        return [float(e) ** (2 if view.power == "square" else 1) for e in member]

    def _combined(self, levels: list[float], role: str) -> float:
        chosen = [
            (level, view.weight)
            for level, view in zip(levels, self.bundle.manifest.views, strict=True)
            if view.role in (role, "both")
        ]
        return power_mean([level for level, _ in chosen], [weight for _, weight in chosen])


def incidents_opened(is_flagged: Sequence[bool]) -> int:
    """An incident opens at a flagged point and ends at the fifth quiet one in a row."""
    opened, quiet = 0, math.inf
    for flag in is_flagged:
        if flag:
            opened += quiet >= 5
            quiet = 0
        else:
            quiet += 1
    return opened


def fleet_cells(
    points: Sequence[tuple[int, float, bool]], *, end_ms: int, cell_ms: int
) -> list[int]:
    """The bytes of one entity: its points are (time, severity or NaN, is it an anomaly)."""
    last = end_ms // cell_ms
    cells = []
    for number in range(last - 59, last + 1):
        inside = [point for point in points if point[0] // cell_ms == number]
        levels = [0.0 if math.isnan(severity) else severity for _, severity, _ in inside]
        level = min(1 + math.floor(4 * max(levels)), 127) if levels else 0
        cells.append(level + 128 * any(is_anomaly for *_, is_anomaly in inside))
    return cells
