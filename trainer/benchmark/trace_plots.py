"""The plots of traces, one function each: what rows said point by point in, one small PNG out."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from trainer.benchmark.results import Trace
from trainer.canvas import ALARM, LABEL, TRUE, clean, figure_of, save
from trainer.measures.events import BoolArray, FloatArray, IntArray, runs

BINS = 1500  # drawn of a long trace; each shows its lowest and highest point
LEAST = 0.1  # of a trace on a log axis; what is lower is calm
LATEST = 60  # points of delay that are shown


def plot_trace(path: Path, trace: Trace) -> None:
    """Severity and score over the whole series, with labels, threshold and anomalies."""
    figure = Figure(figsize=(11.0, 4.2), layout="constrained")
    panels = figure.subplots(2, 1, sharex=True)
    for axes, name, values in zip(
        panels, ("severity", "score"), (trace.severity, trace.score), strict=True
    ):
        clean(axes)
        _shade(axes, trace.label)
        shown = np.where(np.isfinite(values), np.maximum(values, LEAST), np.nan)
        _envelope(axes, shown)
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_ylabel(name)
    if trace.is_anomaly is not None:
        panels[1].axhline(1.0, color=ALARM, linewidth=1, linestyle="--", label="threshold")
        at = np.flatnonzero(trace.is_anomaly)
        height = np.maximum(trace.score[at], LEAST)
        panels[1].plot(at, height, ".", color=ALARM, markersize=3, label="anomaly")
    panels[1].set(xlabel="point", xlim=(0, max(len(trace.score) - 1, 1)))
    handles = {
        label: handle
        for axes in panels
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    above = {"loc": "lower right", "bbox_to_anchor": (1.0, 1.0), "frameon": False}
    panels[0].legend(list(handles.values()), list(handles), ncols=4, fontsize=8, **above)
    save(figure, path)


def _shade(axes: Axes, label: BoolArray) -> None:
    least = len(label) / 600.0  # so that an event of one point can be seen
    for number, (start, end) in enumerate(runs(label)):
        middle, half = (start + end) / 2.0, max(end - start, least) / 2.0
        name = None if number else "labelled anomaly"
        axes.axvspan(middle - half, middle + half, color=LABEL, lw=0, label=name)


def _envelope(axes: Axes, values: FloatArray) -> None:
    step = -(-len(values) // BINS)
    starts = np.arange(0, len(values), step)
    known = np.isfinite(values)
    lowest = np.minimum.reduceat(np.where(known, values, np.inf), starts)
    highest = np.maximum.reduceat(np.where(known, values, -np.inf), starts)
    is_known = np.isfinite(highest)
    at, pairs = starts[is_known], np.stack([lowest[is_known], highest[is_known]], axis=1)
    axes.plot(np.repeat(at, 2), pairs.ravel(), color=TRUE, linewidth=0.6)


@dataclass(frozen=True)
class Delays:
    """How late a row found events."""

    points: IntArray  # (found event,) from its start to its first flag
    events: int  # found or not

    @property
    def shares(self) -> FloatArray:
        """(LATEST + 2,) share of events found so many points late, and the share ever found."""
        at = np.append(np.arange(LATEST + 1), np.inf)
        found: FloatArray = (self.points[:, None] <= at).sum(axis=0) / max(self.events, 1)
        return found


def plot_delays(path: Path, rows: Mapping[str, Delays], *, colors: Mapping[str, str]) -> None:
    """Share of all events that each row has found so many points after their start."""
    figure, axes = figure_of(7.0, 4.0)
    at = np.arange(LATEST + 1)
    for behind, (row, delays) in enumerate(rows.items()):
        *shares, ever = delays.shares
        label = f"{row} (ever: {ever:.0%})"
        axes.step(at, shares, where="post", color=colors[row], label=label, zorder=3 - behind / 10)
    axes.set(xlabel="points since the start of the event", ylabel="share of events found")
    axes.set(xlim=(0, LATEST), ylim=(0.0, 1.01))
    axes.grid(color="#e6e8ec", linewidth=0.6)
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    save(figure, path)
