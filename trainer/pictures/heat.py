"""Heat-maps: who contributed when, and who attends to whom."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm

from trainer.measures.events import FloatArray, IntArray
from trainer.pictures.ink import ALARM, FAINT, HEAT, beside, color_bar, panels
from trainer.pictures.thinning import highest
from trainer.pictures.time_axis import Span, edges_of, mark, ticks_of

BINS = 500
MAX_NAMED = 60  # rows with a name


def draw_contributions(
    span: Span, contribution: npt.NDArray[np.floating], *, order: IntArray, culprits: Sequence[int]
) -> Axes:
    """Dimensions in the `order` given, by time; `contribution` (time, dimension) of all rows.

    Each cell is the highest of its bin. Labelled culprits carry a dot.
    """
    (axes,) = panels(1, height=1.2 + 0.16 * min(len(order), MAX_NAMED))
    cells, rows = highest(contribution[span.rows], BINS)
    cells = cells[:, order]  # (bin, dimension)
    norm = PowerNorm(0.5, vmin=0.0, vmax=max(float(cells.max(initial=0.0)), 1e-9))
    edges = edges_of(span.times, rows)
    places = np.arange(len(order) + 1)
    image = axes.pcolormesh(edges, places, cells.T, cmap=HEAT, norm=norm, rasterized=True)
    if len(order) <= MAX_NAMED:
        names = ticks_of([span.series.dimensions[d] for d in order])
        marked = [f"● {n}" if d in culprits else n for d, n in zip(order, names, strict=True)]
        axes.set_yticks(places[:-1] + 0.5, labels=marked, fontsize=7)
    axes.tick_params(axis="y", length=0)
    axes.invert_yaxis()
    axes.set_xlabel(span.title)
    mark(axes, span)
    if span.series.label is not None:
        _underline(axes, span)
    color_bar(axes, image, "contribution")
    return axes


def _underline(axes: Axes, span: Span) -> None:
    """A line above the map where points are labelled."""
    label = span.series.label
    assert label is not None
    flags = label[span.rows]
    if flags.any():
        here = np.where(flags, -0.4, np.nan)
        axes.plot(span.times, here, color=ALARM, linewidth=2.5, solid_capstyle="butt")
        axes.set_ylim(top=-0.9)


def draw_map(attention: FloatArray, names: Sequence[str], *, rows: str, columns: str) -> Axes:
    """Who (row) attends to whom (column): (node, node)."""
    axes, right = beside(2, height=6.4, ratios=[2.6, 1.0])
    right.set_axis_off()
    norm = PowerNorm(0.7, vmin=float(attention.min()), vmax=float(attention.max()) + 1e-12)
    image = axes.pcolormesh(attention, cmap=HEAT, norm=norm, rasterized=True)
    size = len(attention)
    every = max(1, -(-size // 40))
    places = np.arange(0, size, every)
    shown = ticks_of([names[place] for place in range(0, size, every)])
    axes.set_xticks(places + 0.5, labels=shown, fontsize=6.5, rotation=90)
    axes.set_yticks(places + 0.5, labels=shown, fontsize=6.5)
    axes.tick_params(length=0)
    axes.invert_yaxis()
    axes.set(xlabel=columns, ylabel=rows)
    color_bar(axes, image, "mean attention")
    return axes


def draw_gates(gates: FloatArray, names: Sequence[str]) -> Axes:
    """One factor per dimension (dimension,), highest first."""
    order = np.argsort(-gates, kind="stable")[:MAX_NAMED]
    (axes,) = panels(1, height=1.0 + 0.16 * len(order))
    places = np.arange(len(order))
    axes.hlines(places, 0.0, gates[order], color=FAINT, linewidth=1)
    axes.plot(gates[order], places, "o", color=ALARM, markersize=4)
    axes.set_yticks(places, labels=ticks_of([names[d] for d in order]), fontsize=7)
    axes.set_xlim(left=0.0)
    axes.invert_yaxis()
    axes.set_xlabel("mean gate: 0 shuts a dimension out, 1 lets it through")
    return axes
