"""Values, what was expected of them, and how far they usually stray, one panel per dimension."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from trainer.measures.events import FloatArray
from trainer.pictures.ink import MODEL, TRUE, legend, panels
from trainer.pictures.thinning import extremes
from trainer.pictures.time_axis import Span, finish, ticks_of

BINS = 330  # a point or two of paper each


def draw_reconstruction(
    span: Span, expected: FloatArray, *, band: FloatArray, dimensions: Sequence[int]
) -> Axes:
    """`expected` (time, shown) of the rows, `band` (dimension,) half its width."""
    grid = panels(len(dimensions), height=1.0 + 1.05 * len(dimensions))
    names = ticks_of(span.series.dimensions)
    for axes, dimension, model in zip(grid, dimensions, expected.T, strict=True):
        value = span.series.values[span.rows, dimension]
        panel(axes, span.times, value, model, half=float(band[dimension]))
        axes.set_ylabel(names[dimension], rotation=0, ha="right", va="center", labelpad=8)
    figure = grid[0].get_figure(root=True)
    assert figure is not None
    figure.align_ylabels(grid)
    finish(grid, span)
    legend(grid[0], columns=4)
    return grid[0]


def panel(
    axes: Axes, times: FloatArray, value: FloatArray, model: FloatArray, *, half: float | FloatArray
) -> None:
    """One dimension: value, what was expected, and a band `half` as wide to each side of it."""
    rows = extremes(model, BINS)
    low, high = model - half, model + half
    usual = "expected ± band"
    axes.fill_between(
        times[rows], low[rows], high[rows], color=MODEL, alpha=0.25, lw=0, label=usual
    )
    axes.plot(times[rows], model[rows], color=MODEL, linewidth=0.9, label="expected")
    rows = extremes(value, BINS)
    axes.plot(times[rows], value[rows], color=TRUE, linewidth=0.8, label="value")
    known = np.concatenate([value[np.isfinite(value)], model[np.isfinite(model)]])
    if len(known) and np.ptp(known) == 0:
        axes.set_ylim(known[0] - 0.5, known[0] + 0.5)
    axes.locator_params(axis="y", nbins=3)
