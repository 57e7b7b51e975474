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


@dataclass
class Normaliser:
    """Mean and deviation of one view's error in one dimension."""

    view: View
    mean: float
    deviation: float

    def judge(self, error: float) -> float:
        return (error - self.mean) / max(self.deviation, self.view.floor)

    def learn(self, error: float, *, is_open: bool) -> None:
        rate = 1 - 2 ** (-1 / self.view.half_life_points)
        if is_open:
            rate /= 10
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
            nats = [min(normal_surprisal(one.judge(e)), 1000.0) for one, e in judged]
            knots, tail = calibration.knots[self.index, v], calibration.tail[self.index, v]
            levels.append(surprisal(aggregate(nats, view), knots, tail))
            for d, nat in enumerate(nats if view.role != "severity" else ()):
                excess = max(0.0, nat - math.log(2))
                contributions[d] += excess / calibration.excess[self.index, v]
        alarm = self._mean(levels, "score")
        last = calibration.knots[self.index, -1], calibration.tail[self.index, -1]
        score = surprisal(alarm, *last) / self.threshold
        transition = self.incident.advance(is_flagged=score > 1, score=score)
        for v in range(len(manifest.views)):
            for one, e in zip(self.normalisers[v], errors[v], strict=True):
                one.learn(e, is_open=self.incident.is_open)
        return score, self._mean(levels, "severity"), contributions, transition

    def _view_error(self, error: np.ndarray, view: View) -> list[float]:
        member = error[self.bundle.manifest.members.index(view.member)]
        return [float(e) ** (2 if view.power == "square" else 1) for e in member]

    def _mean(self, levels: list[float], role: str) -> float:
        views = self.bundle.manifest.views
        chosen = [
            level for level, view in zip(levels, views, strict=True) if view.role in (role, "both")
        ]
        return sum(chosen) / len(chosen)
