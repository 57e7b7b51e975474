"""The plots of a report, one function each: arrays in, one small PNG out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from service.scoring.series import Series
from trainer.canvas import ALARM, BLAME, LABEL, MODEL, QUIET, TRUE, clean, figure_of, save
from trainer.measures.events import BoolArray, FloatArray, IntArray, runs
from trainer.pictures.thinning import extremes

BINS = 1500  # points drawn of a long timeline; each shows the extremes of its bin
FLOOR = 1e-2  # of a score on a log axis


@dataclass(frozen=True)
class Close:
    """Rows around an incident, and how it went there."""

    series: Series
    rows: slice
    incident: tuple[int, int]  # first and last row
    blame: IntArray  # dimensions, most blamed first

    @property
    def minutes(self) -> FloatArray:
        """Time since the incident opened, of every row."""
        stamps = self.series.timestamps_ms
        return np.asarray((stamps[self.rows] - stamps[self.incident[0]]) / 60_000.0)

    @property
    def length_minutes(self) -> float:
        """From the first to the last row of the incident."""
        first, last = self.series.timestamps_ms[list(self.incident)]
        return float(last - first) / 60_000.0


def plot_loss(path: Path, epochs: Sequence[dict[str, float]], *, best_epoch: int) -> None:
    """Training and validation loss at every validation, and the epoch whose weights were kept."""
    figure, axes = figure_of(8.0, 3.4)
    last = epochs[-1]
    steps = last.get("step", last["epoch"]) / last["epoch"]  # of an epoch
    at = [epoch.get("step", epoch["epoch"]) / steps for epoch in epochs]
    axes.plot(at, [epoch["loss"] for epoch in epochs], color=TRUE, label="training")
    validation = [epoch["validation_loss"] for epoch in epochs]
    axes.plot(at, validation, color=MODEL, label="validation (held out)")
    if best_epoch:
        axes.axvline(best_epoch, color=QUIET, linestyle="--", label=f"kept: epoch {best_epoch}")
    axes.set(xlabel="epoch", ylabel="loss, nats per point")
    axes.legend(frameon=False)
    save(figure, path)


def plot_timeline(path: Path, series: Series, score: FloatArray, is_anomaly: BoolArray) -> None:
    """The score over the whole series, its threshold, its alarms and the labelled events."""
    figure, axes = figure_of(11.0, 3.6)
    times, unit = _elapsed(series)
    if series.label is not None:
        _shade(axes, times, series.label, LABEL, "labelled anomaly")
    shown = np.maximum(score, FLOOR)
    rows = extremes(shown, BINS)
    axes.plot(times[rows], shown[rows], color=TRUE, linewidth=0.6, label="score")
    alarms = np.flatnonzero(is_anomaly)
    axes.plot(times[alarms], shown[alarms], ".", color=ALARM, markersize=3, label="anomaly")
    axes.axhline(1.0, color=ALARM, linewidth=1, linestyle="--", label="threshold")
    axes.set_yscale("log")
    axes.set(xlabel=f"{unit} since the first point", ylabel="score", xlim=(times[0], times[-1]))
    axes.legend(frameon=False, ncols=4, loc="lower left", bbox_to_anchor=(0.0, 1.0))
    save(figure, path)


def plot_expected(path: Path, close: Close, expected: FloatArray, *, band: FloatArray) -> None:
    """The most blamed dimensions around the incident: true, expected, and the usual band.

    `expected` (time, dimension) of the whole series, `band` (dimension,) half its width.
    """
    shown = close.blame[:4]
    figure = Figure(figsize=(10.0, 1.2 + 1.45 * len(shown)), layout="constrained")
    panels = figure.subplots(len(shown), 1, sharex=True, squeeze=False)[:, 0]
    for axes, dimension in zip(panels, shown, strict=True):
        model = expected[close.rows, dimension]
        _shade_labels(axes, close)
        _mark_incident(axes, close)
        half = band[dimension]
        usual = f"expected ± {half:.3g} (99 % of held-out points)"
        axes.fill_between(
            close.minutes, model - half, model + half, color=MODEL, alpha=0.22, lw=0, label=usual
        )
        axes.plot(close.minutes, model, color=MODEL, linewidth=1.2)
        truth = close.series.values[close.rows, dimension]
        axes.plot(close.minutes, truth, color=TRUE, linewidth=1.2, label="true")
        axes.set_ylabel(close.series.dimensions[dimension], fontsize=8)
        above = {"loc": "lower left", "bbox_to_anchor": (0.0, 0.97), "borderaxespad": 0.0}
        axes.legend(frameon=False, fontsize=7, ncols=2, **above)
        clean(axes)
    panels[-1].set_xlabel("minutes since the incident opened")
    save(figure, path)


def plot_contributions(
    path: Path, close: Close, contribution: FloatArray, *, culprits: Sequence[int]
) -> None:
    """Who contributed when: dimensions by falling blame, the labelled culprits marked."""
    shown = close.blame[:20]
    figure, axes = figure_of(10.0, 1.3 + 0.21 * len(shown))
    grid = np.nan_to_num(contribution[close.rows][:, shown].T)  # (dimension, time)
    minutes = close.minutes
    edges = np.append(minutes, minutes[-1] + np.median(np.diff(minutes)))
    norm = PowerNorm(0.5, vmin=0.0, vmax=max(float(grid.max()), 1e-9))
    image = axes.pcolormesh(edges, np.arange(len(shown) + 1), grid, cmap=BLAME, norm=norm)
    names = close.series.dimensions
    labels = [f"{'● ' if d in culprits else ''}{names[d]}" for d in shown]
    axes.set_yticks(np.arange(len(shown)) + 0.5, labels=labels, fontsize=7)
    axes.invert_yaxis()
    _mark_incident(axes, close)
    axes.set_xlabel("minutes since the incident opened (dashed: opened, resolved)")
    figure.colorbar(image, ax=axes, label="contribution", pad=0.01)
    save(figure, path)


def plot_trade_off(
    path: Path, budgets: FloatArray, observed: dict[str, FloatArray], *, chosen: float
) -> None:
    """Incidents per entity-day that each budget would have led to."""
    figure, axes = figure_of(7.0, 4.0)
    axes.plot(budgets, budgets, color=QUIET, linestyle=":", label="as promised")
    for (name, rates), color in zip(observed.items(), (TRUE, MODEL), strict=False):
        axes.plot(budgets, rates, color=color, marker="o", markersize=3, label=name)
    axes.axvline(chosen, color=ALARM, linestyle="--", linewidth=1, label=f"budget {chosen:g}")
    axes.set_xscale("log")
    axes.set_yscale("symlog", linthresh=0.1)
    axes.set_ylim(bottom=0.0)
    axes.set(xlabel="budget: false incidents per entity-day", ylabel="observed per entity-day")
    axes.legend(frameon=False)
    save(figure, path)


def _elapsed(series: Series) -> tuple[FloatArray, str]:
    """Time since the first point in a unit that a person reads easily."""
    seconds = (series.timestamps_ms - series.timestamps_ms[0]) / 1000.0
    for unit, length in (("days", 86_400.0), ("hours", 3_600.0)):
        if seconds[-1] >= 3 * length:
            return seconds / length, unit
    return seconds / 60.0, "minutes"


def _shade(axes: Axes, times: FloatArray, flags: BoolArray, color: str, name: str) -> None:
    least = (times[-1] - times[0]) / 600.0  # so that an event of one point can be seen
    for number, (start, end) in enumerate(runs(flags)):
        middle = (times[start] + times[end]) / 2.0
        half = max(times[end] - times[start], least) / 2.0
        label = name if number == 0 else None
        axes.axvspan(middle - half, middle + half, color=color, lw=0, label=label)


def _shade_labels(axes: Axes, close: Close) -> None:
    minutes = close.minutes
    if close.series.label is None:
        return
    half = float(np.median(np.diff(minutes))) / 2.0
    for start, end in runs(close.series.label[close.rows]):
        axes.axvspan(
            minutes[start] - half, minutes[end] + half, color=LABEL, alpha=0.6, lw=0, zorder=0
        )


def _mark_incident(axes: Axes, close: Close) -> None:
    for minute in (0.0, close.length_minutes):
        axes.axvline(minute, color=ALARM, linewidth=1, linestyle="--")
    axes.set_xlim(close.minutes[0], close.minutes[-1])
