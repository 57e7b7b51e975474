"""The plots of measures, one function each: numbers in, one small PNG out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from trainer.benchmark.means import Difference, Mean
from trainer.canvas import MODEL, QUIET, TRUE, clean, figure_of, save
from trainer.measures.events import BoolArray, FloatArray

LEAST_RATE = 0.03  # of a log axis: one incident in a month
COLORS = (TRUE, MODEL, "#2b8a57", "#7d55a8", "#b23a6f", "#7a6a3a", QUIET)


@dataclass(frozen=True)
class Bar:
    """One row in a chart of rows."""

    title: str
    means: Mapping[str, Mean]  # measure ->
    is_default: bool
    is_floor: bool


@dataclass(frozen=True)
class Gains:
    """What one row has more than another, by entity."""

    measure: str
    entities: Sequence[str]
    gains: FloatArray  # (entity,)
    is_tuning: BoolArray  # (entity,)
    difference: Difference | None  # on the untuned ones


def plot_bars(path: Path, bars: Sequence[Bar], *, titles: Mapping[str, str]) -> None:
    """Every row in every measure of `titles`, with intervals."""
    figure, panels = _panels(len(titles), height=1.0 + 0.3 * len(bars), width=2.7)
    at = np.arange(len(bars))
    for axes, (measure, title) in zip(panels, titles.items(), strict=True):
        for row, bar in enumerate(bars):
            if (mean := bar.means.get(measure)) is None:
                continue
            color = TRUE if bar.is_default else "#c9ced6" if bar.is_floor else "#9db7d8"
            axes.barh(row, mean.mean, color=color, height=0.72)
            if mean.low is not None and mean.high is not None:
                axes.plot([mean.low, mean.high], [row, row], color="#30343b", linewidth=1.4)
            text = f" {mean.mean:.2f}"
            axes.text(max(mean.mean, mean.high or 0.0), row, text, va="center", fontsize=7)
        axes.set_title(title, fontsize=9)
        axes.set_yticks(at, labels=[bar.title for bar in bars], fontsize=8)
        axes.margins(x=0.16)
        axes.set_xlim(left=0.0)
    panels[0].invert_yaxis()
    save(figure, path)


def plot_gains(path: Path, panels_of: Sequence[Gains], *, than: str) -> None:
    """Gain per entity, and their mean with its paired interval."""
    most = max(len(one.entities) for one in panels_of)
    figure = Figure(figsize=(5.2 * len(panels_of), 1.2 + 0.19 * most), layout="constrained")
    panels = figure.subplots(1, len(panels_of), squeeze=False)[0]
    for axes, one in zip(panels, panels_of, strict=True):
        clean(axes)
        order = np.argsort(one.gains, kind="stable")
        gains, is_tuning, at = one.gains[order], one.is_tuning[order], np.arange(len(order))
        axes.axvline(0.0, color=QUIET, linewidth=1)
        axes.hlines(at, 0.0, gains, color="#c9ced6", linewidth=1.5)
        axes.plot(gains[~is_tuning], at[~is_tuning], "o", color=TRUE, markersize=4, label="untuned")
        if is_tuning.any():
            hollow = {"markerfacecolor": "white", "markersize": 4}
            axes.plot(gains[is_tuning], at[is_tuning], "o", color=TRUE, label="tuned on", **hollow)
        _mark_mean(axes, one.difference)
        axes.set_yticks(at, labels=[one.entities[row] for row in order], fontsize=7)
        axes.set_xlabel(f"{one.measure}: more than {than}")
        above = {"loc": "lower left", "bbox_to_anchor": (0.0, 1.0), "borderaxespad": 0.2}
        axes.legend(frameon=False, fontsize=7, ncols=3, **above)
    save(figure, path)


def _mark_mean(axes: Axes, difference: Difference | None) -> None:
    if difference is None:
        return
    label = f"mean {difference.mean:+.3f}"
    if difference.low is not None and difference.high is not None:
        axes.axvspan(difference.low, difference.high, color=MODEL, alpha=0.18, lw=0)
        label += f" [{difference.low:+.3f}, {difference.high:+.3f}]"
    axes.axvline(difference.mean, color=MODEL, linewidth=1.4, label=label)


def plot_promised(
    path: Path,
    rates: Mapping[str, tuple[FloatArray, FloatArray]],
    *,
    colors: Mapping[str, str],
    default: str,
) -> None:
    """False incidents per day, promised (budget,) and observed (entity, budget), by row.

    The thin lines are the entities of `default`.
    """
    figure, axes = figure_of(6.4, 4.6)
    budgets = next(iter(rates.values()))[0]
    axes.fill_between(budgets, budgets / 2, budgets * 2, color=QUIET, alpha=0.15, lw=0)
    axes.plot(budgets, budgets, color="#30343b", linestyle=":", label="promised (shaded: x 2)")
    for behind, (row, (at, observed)) in enumerate(rates.items()):
        color, height = colors[row], 3 - behind / 10
        if row == default:
            axes.plot(at, np.maximum(observed, LEAST_RATE).T, color=color, lw=0.6, alpha=0.4)
        mean = np.maximum(observed.mean(axis=0), LEAST_RATE)
        axes.plot(at, mean, "o-", color=color, markersize=3, label=row, zorder=height)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylim(bottom=LEAST_RATE)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set(xlabel="budget: false incidents per entity-day", ylabel="observed per entity-day")
    axes.legend(frameon=False, fontsize=8)
    save(figure, path)


def plot_families(
    path: Path,
    rows: Mapping[str, Mapping[str, Mapping[str, Mean]]],
    *,
    colors: Mapping[str, str],
    titles: Mapping[str, str],
) -> None:
    """Each kind of fault: row -> family -> measure -> mean, one panel per measure of `titles`."""
    families = list(dict.fromkeys(family for one in rows.values() for family in one))
    figure, panels = _panels(len(titles), height=1.2 + 0.62 * len(families), width=4.2)
    reach = min(0.3, 0.08 * (len(rows) - 1))
    offsets = np.linspace(-reach, reach, len(rows))
    for axes, (measure, title) in zip(panels, titles.items(), strict=True):
        for (row, own), offset in zip(rows.items(), offsets, strict=True):
            color = colors[row]
            known = [
                (at + offset, own[family][measure])
                for at, family in enumerate(families)
                if measure in own.get(family, {})
            ]
            for at, mean in known:
                if mean.low is not None and mean.high is not None:
                    axes.plot([mean.low, mean.high], [at, at], color=color, linewidth=1.2)
            means = [mean.mean for _, mean in known]
            axes.plot(means, [at for at, _ in known], "o", color=color, markersize=4, label=row)
        axes.set_yticks(np.arange(len(families)), labels=families, fontsize=8)
        axes.set_ylim(len(families) - 0.5, -0.5)
        axes.set_title(title, fontsize=9)
        axes.set_xlim(left=0.0)
        axes.grid(axis="x", color="#e6e8ec", linewidth=0.6)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=4, fontsize=8, frameon=False)
    save(figure, path)


def _panels(count: int, *, height: float, width: float) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(1.4 + width * count, height), layout="constrained")
    panels = list(figure.subplots(1, count, sharey=True, squeeze=False)[0])
    for axes in panels:
        clean(axes)
    return figure, panels
