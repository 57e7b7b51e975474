"""Floors: what a detector must beat before it is worth its name. No time, no training."""

from dataclasses import dataclass

import numpy as np

from service.scoring.series import Series
from trainer.linear import clip, fit_pca, fit_scaling
from trainer.measures.events import BoolArray, FloatArray
from trainer.windows import impute, medians


@dataclass(frozen=True)
class Answers:
    """What one row of a table says of one series; NaN where it says nothing."""

    score: FloatArray  # (time,) higher is more anomalous
    contribution: FloatArray | None  # (time, dimension); None of a row that blames nobody
    is_anomaly: BoolArray | None = None  # (time,) only of a row with a threshold
    severity: FloatArray | None = None  # (time,) known where the score is; None: the score ranks

    @property
    def ranking(self) -> FloatArray:
        """(time,) what orders the points: the severity, where a row has one."""
        return self.score if self.severity is None else self.severity


def floors(train: Series, test: Series, *, seed: int = 0) -> dict[str, Answers]:
    """The rows `random`, `input` and `pca` of one entity, fitted on its training half alone.

    `input` is the scaled value of every dimension itself, and their sum. `pca` is the squared
    residual of D / 4 principal components, without any normaliser.
    """
    dimensions = len(test.dimensions)
    # exponential, so that its tail has no end and a threshold can be crossed
    noise = np.random.default_rng(seed).exponential(size=(len(test.values), dimensions + 1))
    rows = impute(train.values, medians(train.values))
    scaling = fit_scaling([rows])
    pca = fit_pca(scaling.clipped(rows, 1), components=max(1, round(dimensions / 4)))
    scaled = clip(scaling.scale(impute(test.values, scaling.center[1]), 1))
    residual = np.square(scaled - pca.reconstruct(scaled))
    return {
        "random": Answers(noise[:, 0], noise[:, 1:]),
        "input": Answers(scaled.sum(axis=1), scaled),
        "pca": Answers(residual.sum(axis=1), residual),
    }
