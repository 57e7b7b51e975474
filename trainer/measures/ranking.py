"""Ranking: how well a score puts labelled points above the others, whatever the threshold."""

import numpy as np

from trainer.measures.events import BoolArray, FloatArray, IntArray, peaks, runs

VUS_WIDTH = 100  # largest buffer, in points
VUS_THRESHOLDS = 250  # at equal steps of rank


def average_precision(label: BoolArray, score: FloatArray) -> float:
    """Sum of (R_n - R_{n-1}) P_n over all distinct thresholds; equal scores are one threshold.

    Manning, Raghavan and Schuetze, Introduction to Information Retrieval, 2008, chapter 8.
    """
    if not label.any():
        return float("nan")
    precision, recall, _ = _curve(label, score)
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def oracle_f1(label: BoolArray, score: FloatArray) -> float:
    """The best point-wise F1 of any threshold."""
    if not label.any():
        return float("nan")
    precision, recall, _ = _curve(label, score)
    return float(_harmonic(precision, recall).max())


def oracle_composite_f1(label: BoolArray, score: FloatArray) -> float:
    """The best composite F1 (see `decisions.composite_f1`) of any threshold."""
    if not label.any():
        return float("nan")
    precision, _, thresholds = _curve(label, score)
    highest = np.sort(peaks(label, score))
    found = len(highest) - np.searchsorted(highest, thresholds, side="left")
    return float(_harmonic(precision, found / len(highest)).max())


def _curve(label: BoolArray, score: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Precision and recall at every distinct threshold, from the highest down."""
    order = np.argsort(-score, kind="stable")
    descending = score[order]
    last = np.flatnonzero(np.append(np.diff(descending) != 0, True))  # of each run of ties
    hits = np.cumsum(label[order])[last]
    return hits / (last + 1.0), hits / label.sum(), descending[last]


def _harmonic(precision: FloatArray, recall: FloatArray) -> FloatArray:
    total = precision + recall
    return np.divide(2.0 * precision * recall, total, out=np.zeros(total.shape), where=total > 0)


def vus_pr(
    label: BoolArray,
    score: FloatArray,
    *,
    width: int = VUS_WIDTH,
    thresholds: int = VUS_THRESHOLDS,
) -> float:
    """Volume under the range-PR surface, mean over buffers of 0..`width` points.

    Paparrizos et al., "Volume Under the Surface", VLDB 2022, as TSB-AD computes it. Hits,
    positives and touched events are all sums over points of "when does this point first become
    positive", so one bincount and one cumulative sum per buffer replace a pass per threshold.
    """
    if not label.any():
        return float("nan")
    events = np.array(runs(label), np.int64)  # (event, 2)
    ranks = np.linspace(0, len(score) - 1, thresholds).astype(np.int64)
    levels = np.sort(score)[::-1][ranks]
    first = np.searchsorted(-levels, -score, side="left")  # (time,) threshold of first alarm
    predicted = _counts(first, thresholds)
    inside = _counts(first[label], thresholds)
    points, distances = _surroundings(label, events, width // 2)
    areas = []
    for w in range(width + 1):
        near = distances <= w // 2
        at, weight = points[near], np.sqrt(1.0 - distances[near] / max(w, 1))
        soft = np.bincount(at, weight, minlength=len(label))
        at = np.unique(at)
        buffer = _counts(first[at], thresholds, np.minimum(soft[at], 1.0))
        hits = inside + buffer
        recall = np.minimum(hits / (label.sum() + buffer / 2.0), 1.0)
        rate = recall * _existence(first, events, w // 2, thresholds)
        areas.append(np.sum(np.diff(rate, prepend=0.0) * hits / predicted))
    return float(np.mean(areas))


def _counts(first: IntArray, thresholds: int, weight: FloatArray | None = None) -> FloatArray:
    """Sum of weights of the points that are positive at each threshold."""
    return np.cumsum(np.bincount(first, weight, minlength=thresholds).astype(np.float64))


def _surroundings(label: BoolArray, events: IntArray, reach: int) -> tuple[IntArray, IntArray]:
    """Every (normal point, distance to an event's edge) up to `reach`, once per event and side."""
    steps = np.arange(1, reach + 1)
    points = np.concatenate(
        [(events[:, :1] - steps).ravel(), (events[:, 1:] + steps).ravel()]
    )  # (event x side x step,)
    distances = np.tile(steps, 2 * len(events))
    is_there = (points >= 0) & (points < len(label))
    points, distances = points[is_there], distances[is_there]
    return points[~label[points]], distances[~label[points]]


def _existence(first: IntArray, events: IntArray, reach: int, thresholds: int) -> FloatArray:
    """Share of events, widened by `reach` and merged where they overlap, touched by an alarm."""
    starts = np.maximum(events[:, 0] - reach, 0)
    ends = np.minimum(events[:, 1] + reach, len(first) - 1)
    is_apart = ends[:-1] < starts[1:]
    starts = starts[np.concatenate([[True], is_apart])]
    ends = ends[np.concatenate([is_apart, [True]])]
    edges = np.stack([starts, ends + 1], axis=1).ravel()
    earliest = np.minimum.reduceat(np.append(first, thresholds), edges)[::2]
    return _counts(earliest, thresholds) / len(starts)
