"""The latent trajectory: where the code of a model goes over time, in its two widest directions."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection

from trainer.measures.events import FloatArray
from trainer.pictures.ink import FAINT, SEVERITY, beside, color_bar


def principal(codes: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Codes (time, latent) -> their first two components (time, 2), share of variance (2,).

    The largest weight of each component is positive, so that equal codes look equal.
    """
    centred = codes - codes.mean(axis=0)
    _, widths, directions = np.linalg.svd(centred, full_matrices=False)
    directions = directions[:2]
    largest = np.abs(directions).argmax(axis=1)[:, None]
    directions = directions * np.sign(np.take_along_axis(directions, largest, axis=1))
    found = np.zeros((len(codes), 2))
    found[:, : len(directions)] = centred @ directions.T
    variance = np.zeros(2)
    variance[: len(directions)] = widths[:2] ** 2
    total = float((widths**2).sum())
    return found, variance / total if total else variance


def draw_latent(codes: FloatArray, severity: FloatArray, times: FloatArray, *, title: str) -> Axes:
    """Codes (time, latent), coloured by severity (time,): as a path, and over time."""
    places, shares = principal(codes)
    left, right = beside(2, height=3.9, ratios=[1.0, 1.3])
    left.plot(*places.T, color=FAINT, linewidth=0.3, alpha=0.5, rasterized=True, zorder=0)
    points = _dots(left, places[:, 0], places[:, 1], severity)
    _dots(right, times, places[:, 0], severity)
    first, second = (f"component {n} ({share:.0%})" for n, share in enumerate(shares, start=1))
    left.set(xlabel=first, ylabel=second)
    right.set(xlabel=title, ylabel=first)
    color_bar(right, points, "severity, nats")
    return left


def _dots(axes: Axes, x: FloatArray, y: FloatArray, severity: FloatArray) -> PathCollection:
    """One per point, the most severe on top."""
    known = np.nan_to_num(severity)
    order = np.argsort(known, kind="stable")
    limit = max(float(known.max(initial=0.0)), 1e-9)
    return axes.scatter(
        x[order],
        y[order],
        c=known[order],
        cmap=SEVERITY,
        vmin=0.0,
        vmax=limit,
        s=7,
        lw=0,
        rasterized=True,
    )
