"""The generalised Pareto distribution of excesses, of any shape; `tail` keeps to shapes 0 to 0.5.

Grimshaw, "Computing Maximum Likelihood Estimates for the Generalized Pareto Distribution",
Technometrics 1993: with theta = shape / scale, the best shape for a theta is the mean of
ln(1 + theta y), so that one number remains to be sought.
"""

import math
from dataclasses import dataclass

import numpy as np

from service.scoring.tail import LEVEL, MIN_PEAKS
from trainer.measures.events import FloatArray

LEAST_SHAPE = -0.5  # below, the likelihood has no regular maximum
STEPS, ZOOMS = 60, 3


@dataclass(frozen=True)
class Peaks:
    """Excesses over an initial threshold, and of how many points they are."""

    initial: float
    excesses: FloatArray  # (peak,) > 0
    count: int

    def level(self, risk: float) -> float:
        """z_q: what a share `risk` of points exceeds (Siffer et al., KDD 2017, equation 1).

        At least the initial threshold; where the peaks say nothing of a shape, exponential.
        """
        if not len(self.excesses):
            return self.initial
        ratio = risk * self.count / len(self.excesses)
        shape, scale = 0.0, float(self.excesses.mean())
        if len(self.excesses) >= MIN_PEAKS and np.ptp(self.excesses) > 0:
            shape, scale = fit_pareto(self.excesses)
        beyond = -math.log(ratio) if shape == 0 else (ratio**-shape - 1.0) / shape
        return self.initial + scale * max(beyond, 0.0)


def peaks_of(scores: FloatArray) -> Peaks:
    """The peaks of scores (n,) over their .98 quantile."""
    initial = float(np.quantile(scores, LEVEL))
    return Peaks(initial, scores[scores > initial] - initial, len(scores))


def fit_pareto(excesses: FloatArray) -> tuple[float, float]:
    """Shape and scale of greatest likelihood for excesses (n,) > 0 that differ."""
    mean, highest = float(excesses.mean()), float(excesses.max())
    grid = np.geomspace(1e-3, 1.0, STEPS)
    thetas = np.concatenate([-(1.0 - 1e-6) * grid[::-1] / highest, grid * 1e2 / mean])
    best_theta, best = 0.0, -len(excesses) * (1.0 + math.log(mean))  # the exponential
    for _ in range(ZOOMS):
        likelihoods = _likelihoods(excesses, thetas)
        at = int(np.argmax(likelihoods))
        if likelihoods[at] > best:
            best_theta, best = float(thetas[at]), float(likelihoods[at])
        low, high = thetas[max(at - 1, 0)], thetas[min(at + 1, len(thetas) - 1)]
        thetas = np.linspace(low, high, STEPS)
        thetas = thetas[thetas != 0]
    if best_theta == 0:
        return 0.0, mean
    shape = _shape(excesses, best_theta)
    return shape, shape / best_theta


def _shape(excesses: FloatArray, theta: float) -> float:
    return float(np.log1p(theta * excesses).mean())


def _likelihoods(excesses: FloatArray, thetas: FloatArray) -> FloatArray:
    """Logarithm of the likelihood at the best shape of each theta: (theta,)."""
    shapes = np.array([_shape(excesses, theta) for theta in thetas])
    likelihoods = -len(excesses) * (np.log(shapes / thetas) + shapes + 1.0)
    return np.where(shapes > LEAST_SHAPE, likelihoods, -np.inf)
