"""The picture of one incident: score, the first three causes, and who has which share."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.incidents import Incident
from trainer.canvas import ALARM, LABEL, MODEL, QUIET, TRUE, clean, save
from trainer.measures.events import FloatArray, runs

SCORE_POINTS = 120  # of the score, shown on each side of an incident
CAUSE_POINTS = (20, 120)  # of the causes: twice as long as the incident, within these
MAX_POINTS = 720  # of a longer incident, the surroundings of its peak
MARKED_POINTS = 100  # of fewer, every point is marked
PANELS = 3
BARS = 8
CULPRIT = "● "


@dataclass(frozen=True, eq=False)
class _View:
    """Rows of an incident and their times."""

    incident: Incident
    rows: slice

    @property
    def minutes(self) -> FloatArray:
        """Since the incident opened."""
        return _minutes(self.incident, self.rows)


def draw(path: Path, incident: Incident) -> None:
    """One PNG."""
    figure = Figure(figsize=(10.0, 7.4), layout="constrained")
    grid = figure.add_gridspec(1 + PANELS, 2, width_ratios=(3.1, 1.0))
    order = np.argsort(-incident.shares, kind="stable").tolist()
    _draw_score(figure.add_subplot(grid[0, :]), _view(incident, SCORE_POINTS))
    near = int(np.clip(2 * (incident.last - incident.first + 1), *CAUSE_POINTS))
    panels = [figure.add_subplot(grid[1 + panel, 0]) for panel in range(PANELS)]
    for axes, dimension in zip(panels, order, strict=False):
        _draw_cause(axes, _view(incident, near), dimension)
        axes.tick_params(labelbottom=axes is panels[-1])
    panels[-1].set_xlabel("minutes since the incident opened")
    lines, names = panels[0].get_legend_handles_labels()
    _name_above(panels[0], lines[-3:], names[-3:])
    _draw_shares(figure.add_subplot(grid[1:, 1]), incident, order[:BARS])
    save(figure, path)


def _view(incident: Incident, margin: int) -> _View:
    start = max(incident.first - margin, 0)
    stop = min(incident.last + margin + 1, len(incident.series.values))
    if stop - start > MAX_POINTS:
        start = min(max(incident.peak - MAX_POINTS // 2, start), stop - MAX_POINTS)
        stop = start + MAX_POINTS
    return _View(incident, slice(start, stop))


def _minutes(incident: Incident, rows: slice) -> FloatArray:
    stamps = incident.series.timestamps_ms
    return np.asarray((stamps[rows] - stamps[incident.first]) / 60_000.0)


def _draw_score(axes: Axes, view: _View) -> None:
    scored, minutes = view.incident.scored, view.minutes
    score, is_anomaly = scored.score[view.rows], scored.is_anomaly[view.rows]
    _shade(axes, view)
    axes.plot(minutes, score, color=TRUE, linewidth=1.0, label="score")
    axes.plot(
        minutes[is_anomaly], score[is_anomaly], "o", color=ALARM, markersize=3.5, label="anomaly"
    )
    axes.axhline(1.0, color=ALARM, linewidth=1, linestyle="--", label="threshold")
    axes.set_ylim(0.0, max(1.2, 1.08 * float(np.nanmax(score))))
    axes.set_ylabel("score")
    _name_above(axes, *axes.get_legend_handles_labels())
    clean(axes)


def _draw_cause(axes: Axes, view: _View, dimension: int) -> None:
    incident, minutes = view.incident, view.minutes
    expected = incident.scored.expected[view.rows, dimension].astype(np.float64)
    half = incident.band[dimension]
    values = incident.series.values[view.rows, dimension]
    dot = "." if len(minutes) <= MARKED_POINTS else ""
    _shade(axes, view)
    axes.fill_between(
        minutes, expected - half, expected + half, color=MODEL, alpha=0.3, lw=0, label="± band"
    )
    axes.plot(minutes, expected, color=MODEL, lw=1.4, marker=dot, label="expected")
    axes.plot(minutes, values, color=TRUE, lw=1.4, marker=dot, label="value")
    axes.set_ylabel(_name(incident, dimension))
    clean(axes)


def _draw_shares(axes: Axes, incident: Incident, shown: list[int]) -> None:
    places = np.arange(len(shown))
    colors = [ALARM if dimension in incident.culprits else QUIET for dimension in shown]
    axes.barh(places, incident.shares[shown], color=colors, height=0.65)
    for place, share in enumerate(incident.shares[shown]):
        axes.text(share, place, f" {share:.0%}", va="center", fontsize=8)
    axes.set_yticks(places, labels=[_name(incident, dimension) for dimension in shown])
    axes.invert_yaxis()
    axes.set_xlim(0.0, 1.25 * float(incident.shares.max()))
    axes.set_xticks([])
    said = f"{CULPRIT}red: labelled culprit" if incident.culprits else "nothing is labelled here"
    axes.set_title(f"share of the whole incident\n{said}", fontsize=9)
    clean(axes)
    axes.spines["bottom"].set_visible(False)


def _shade(axes: Axes, view: _View) -> None:
    """Labelled stretches in colour; the incident, from its first to its last flagged point."""
    incident, minutes = view.incident, view.minutes
    label = incident.series.label
    found = runs(label[view.rows]) if label is not None else []
    for number, (start, end) in enumerate(found):
        name = None if number else "labelled"
        first, last = minutes[start] - 0.5, minutes[end] + 0.5
        axes.axvspan(first, last, color=LABEL, alpha=0.6, lw=0, label=name)
    ends = np.unique(_minutes(incident, slice(incident.first, incident.last + 1))[[0, -1]])
    for number, minute in enumerate(ends):
        name = None if number else "first and last anomaly"
        axes.axvline(minute, color=QUIET, linewidth=1, linestyle=":", label=name)
    axes.set_xlim(minutes[0], minutes[-1])


def _name(incident: Incident, dimension: int) -> str:
    mark = CULPRIT if dimension in incident.culprits else ""
    return f"{mark}{incident.series.dimensions[dimension]}"


def _name_above(axes: Axes, lines: list[Artist], names: list[str]) -> None:
    axes.legend(
        lines,
        names,
        frameon=False,
        fontsize=8,
        ncols=len(names),
        loc="lower left",
        bbox_to_anchor=(0.0, 0.97),
        borderaxespad=0.0,
    )
