"""Trimming: the windows that look least like all others are left out before the training.

Training data are taken for normal, and seldom are. A robust PCA finds what does not fit: principal
components of the windows that fit best, found in turns (concentration steps, Rousseeuw & Van
Driessen, "A Fast Algorithm for the Minimum Covariance Determinant Estimator", Technometrics 1999).
Labels play no part. Only the fit part is trimmed: a threshold fitted to a trimmed stretch would
promise a calm that will not come.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from service.scoring.series import FloatArray, Series
from trainer.config import Config
from trainer.linear import clip, fit_pca, lagged
from trainer.windows import impute, medians, split, stretches

WINDOW = 16  # points; longer than `BREAK_PERIODS`, so that what is left out ends a stretch
MAX_TURNS = 10
LAGGED_BELOW = 8  # dimensions; fewer are looked at together with their lags
INNER, LEAST_SPREAD = (0.01, 0.99), 0.1  # quantiles of a dimension; share of its range

Ranges = tuple[tuple[int, int], ...]  # rows start..stop-1
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Trimmed:
    """What is left of a series, and which of its rows are not."""

    series: Series
    ranges: Ranges


def trim(series: Series, config: Config) -> Trimmed:
    """Leave out the share `config.trim` of the windows of the fit part."""
    fit = split(len(series.values), config).fit
    starts = _starts(series, fit)
    count = math.floor((config.trim or 0.0) * len(starts))
    if count == 0:
        return Trimmed(series, ())
    rows = _comparable(series.values[fit])
    index = starts[:, None] + np.arange(WINDOW)  # (window, WINDOW)
    components = config.components(rows.shape[1])
    worst = _worst(rows, index - fit.start, count, components=components)
    is_kept = np.ones(len(series.values), np.bool_)
    is_kept[index[worst].ravel()] = False
    return Trimmed(_kept(series, is_kept), _ranges(~is_kept))


def _starts(series: Series, fit: slice) -> npt.NDArray[np.int64]:
    """First rows of windows side by side, none over a break."""
    tiles = [np.arange(s.start, s.stop - WINDOW + 1, WINDOW) for s in stretches(series, fit)]
    return np.concatenate(tiles).astype(np.int64)


def _comparable(values: FloatArray) -> FloatArray:
    """Rows in units of their inner spread, clipped: one wild value decides nothing."""
    middle = medians(values)
    rows = impute(values, middle)
    low, high = np.quantile(rows, INNER, axis=0)
    spread = np.maximum(high - low, LEAST_SPREAD * np.ptp(rows, axis=0))
    scaled = clip((rows - middle) / np.where(spread > 0, spread, 1.0))
    return lagged(scaled) if scaled.shape[1] < LAGGED_BELOW else scaled


def _worst(
    rows: FloatArray, index: npt.NDArray[np.int64], count: int, *, components: int
) -> npt.NDArray[np.int64]:
    """The windows that components of all others explain least, in ascending order."""
    worst = np.empty(0, np.int64)
    for _ in range(MAX_TURNS):
        kept = np.delete(index, worst, axis=0).ravel()
        pca = fit_pca(rows[kept], components=components)
        errors = np.square(rows - pca.reconstruct(rows)).sum(axis=1)
        order = np.argsort(-errors[index].mean(axis=1), kind="stable")
        found = np.sort(order[:count])
        if np.array_equal(found, worst):
            break
        worst = found
    return worst


def _kept(series: Series, is_kept: Mask) -> Series:
    return replace(
        series,
        timestamps_ms=series.timestamps_ms[is_kept],
        values=series.values[is_kept],
        label=None if series.label is None else series.label[is_kept],
        segments=(),
    )


def _ranges(is_left_out: Mask) -> Ranges:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], is_left_out, [False]]).astype(np.int8)))
    return tuple((int(start), int(stop)) for start, stop in edges.reshape(-1, 2))


# ---- what is said of it


def facts(entities: Sequence[str], ranges: Sequence[Ranges]) -> dict[str, str | int]:
    """What the manifest tells: how many points, and which rows of whom (end left out)."""
    said = [
        f"{entity} {','.join(f'{start}:{stop}' for start, stop in own)}"
        for entity, own in zip(entities, ranges, strict=True)
        if own
    ]
    if not said:
        return {}
    points = sum(stop - start for own in ranges for start, stop in own)
    return {"trimmed_points": points, "trimmed": "; ".join(said)}


def sentence(training: Mapping[str, object]) -> str:
    """What a person is told of the `training` of a manifest; empty where nothing was trimmed."""
    if "trimmed" not in training:
        return ""
    return (
        f"{training['trimmed_points']} points, the {float(str(training['trim'])):.1%} of windows "
        "that looked least like the others, were left out before the training; rows of the "
        f"training half: {training['trimmed']}."
    )
