"""The picture of a shadow: what two versions said of the same points."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from service.scoring.series import Series
from trainer.canvas import ALARM, LABEL, MODEL, QUIET, TRUE, clean, save
from trainer.measures.events import BoolArray, FloatArray, runs

NAMES = ("score", "severity")  # one row of panels each
BINS = 900  # of a timeline; each shows its highest point
DAY_MS = 86_400_000.0


@dataclass(frozen=True, eq=False)
class Said:
    """What one version said of every point; NaN where it said nothing."""

    model: str
    score: FloatArray  # (time,)
    severity: FloatArray
    is_anomaly: BoolArray


def draw(path: Path, series: Series, said: tuple[Said, Said], report: Mapping[str, Any]) -> None:
    """One PNG: score and severity, each over time and against the other version."""
    figure = Figure(figsize=(11.0, 6.8), layout="constrained")
    figure.suptitle(_title(said, report), fontsize=10)
    grid = figure.add_gridspec(2, 2, width_ratios=(3.0, 1.0))
    panels = [
        [figure.add_subplot(grid[row, column]) for column in (0, 1)] for row in range(len(NAMES))
    ]
    for name, (over_time, apart) in zip(NAMES, panels, strict=True):
        values = [getattr(one, name) for one in said]
        _draw_time(over_time, series, values)
        _draw_pairs(apart, values, is_flagged=said[0].is_anomaly | said[1].is_anomaly)
        _name(over_time, apart, name, said)
        apart.set_title(f"rank correlation {report[f'{name}_correlation']:.3f}", fontsize=9)
    _draw_threshold(*panels[0])
    panels[0][0].tick_params(labelbottom=False)
    panels[1][0].set_xlabel("days of the test half")
    panels[0][0].legend(
        frameon=False,
        fontsize=8,
        ncols=2,
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        borderaxespad=0.2,
    )
    save(figure, path)


def _title(said: tuple[Said, Said], report: Mapping[str, Any]) -> str:
    active, shadow = (one.model for one in said)
    return (
        f"{active} active, {shadow} its shadow, {report['compared']:,} points. "
        f"Flagged: {report['flagged_active']} by {active}, {report['flagged_shadow']} by {shadow}, "
        f"{report['flagged_both']} by both. Incidents: {report['incidents_active']} and "
        f"{report['incidents_shadow']}, {report['incidents_together']} together."
    )


def _draw_time(axes: Axes, series: Series, values: list[FloatArray]) -> None:
    """The highest value of every bin: the active version upwards, its shadow downwards."""
    clean(axes)
    days = (series.timestamps_ms - series.timestamps_ms[0]) / DAY_MS
    for number, (start, end) in enumerate(runs(series.label) if series.label is not None else []):
        name = None if number else "labelled"
        axes.axvspan(days[start], days[end], color=LABEL, alpha=0.8, lw=0, label=name)
    edges = np.unique(np.linspace(0, len(days), BINS + 1).astype(int))[:-1]
    for sign, value, color in zip((1.0, -1.0), values, (TRUE, MODEL), strict=True):
        highest = np.nan_to_num(sign * np.fmax.reduceat(value, edges))
        axes.fill_between(days[edges], 0.0, highest, color=color, lw=0, step="post")
    reach = 1.05 * float(max(np.nanmax(value) for value in values))
    axes.set(xlim=(days[0], days[-1]), ylim=(-reach, reach))
    axes.yaxis.set_major_formatter(lambda value, _: f"{abs(value):g}")
    axes.axhline(0.0, color="white", lw=1)


def _draw_pairs(axes: Axes, values: list[FloatArray], *, is_flagged: BoolArray) -> None:
    """Every point: what its shadow said against what the active version said."""
    clean(axes)
    both = np.isfinite(values[0]) & np.isfinite(values[1])
    one, other, flagged = values[0][both], values[1][both], is_flagged[both]
    reach = 1.05 * float(max(one.max(), other.max()))
    axes.plot([0.0, reach], [0.0, reach], color=QUIET, lw=0.8, ls=":")
    axes.plot(one[~flagged], other[~flagged], ".", color=QUIET, ms=2, alpha=0.3, mew=0)
    axes.plot(one[flagged], other[flagged], ".", color=ALARM, ms=4, mew=0, label="flagged")
    axes.set(xlim=(0.0, reach), ylim=(0.0, reach), aspect="equal")
    axes.legend(frameon=False, fontsize=8, loc="upper left", handletextpad=0.2)


def _draw_threshold(over_time: Axes, apart: Axes) -> None:
    for level, name in ((1.0, "threshold"), (-1.0, None)):
        over_time.axhline(level, color=ALARM, lw=1.0, ls="--", label=name)
    apart.axhline(1.0, color=ALARM, lw=1.0, ls="--")
    apart.axvline(1.0, color=ALARM, lw=1.0, ls="--")


def _name(over_time: Axes, apart: Axes, name: str, said: tuple[Said, Said]) -> None:
    active, shadow = (one.model for one in said)
    over_time.set_ylabel(f"{name}\n{shadow} (down)   {active} (up)")
    apart.set_xlabel(f"{name}, {active}")
    apart.set_ylabel(f"{name}, {shadow}")
