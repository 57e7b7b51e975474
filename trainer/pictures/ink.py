"""The ink of all pictures: their colours, their style, and the panels they are drawn on.

A file is drawn in the colours below. Inline in a page each becomes a CSS variable, which has this
colour where the page is light. Heat-maps are transparent where there is nothing.
"""

from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from trainer.canvas import save

INK, FAINT, TRUE, MODEL, ALARM, LABEL = (
    "#1b1f24",
    "#8d959f",
    "#1f5fa8",
    "#b85e00",
    "#b3123f",
    "#e2def1",
)
VARIABLES = {
    INK: "--ink",
    FAINT: "--faint",
    TRUE: "--true",
    MODEL: "--model",
    ALARM: "--alarm",
    LABEL: "--label",
}
HEAT = LinearSegmentedColormap.from_list(
    "heat", [(0.88, 0.51, 0.08, 0.0), (0.88, 0.51, 0.08, 0.9), (0.80, 0.16, 0.42, 1.0)]
)  # told apart by lightness too, on white and on black
SEVERITY = LinearSegmentedColormap.from_list(
    "severity", [(0.45, 0.55, 0.68, 0.6), (0.88, 0.51, 0.08, 1.0), (0.80, 0.16, 0.42, 1.0)]
)
STYLE = mpl.RcParams(
    {
        "axes.edgecolor": FAINT,
        "axes.facecolor": "none",
        "axes.labelcolor": INK,
        "axes.labelsize": 9,
        "axes.linewidth": 0.7,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "figure.facecolor": "none",
        "font.family": "sans-serif",
        "legend.fontsize": 8,
        "legend.frameon": False,
        "path.simplify_threshold": 0.2,
        "savefig.dpi": 110,
        "svg.fonttype": "none",
        "svg.hashsalt": "gaugewatch",
        "text.color": INK,
        "xtick.color": FAINT,
        "xtick.labelcolor": INK,
        "xtick.labelsize": 8,
        "ytick.color": FAINT,
        "ytick.labelcolor": INK,
        "ytick.labelsize": 8,
    }
)


def panels(
    count: int, *, height: float, ratios: list[float] | None = None, is_shared: bool = True
) -> list[Axes]:
    """So many panels below one another, `is_shared` over one axis of time; height in inches."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(10.0, height), layout="constrained")
        grid = figure.subplots(count, 1, sharex=is_shared, squeeze=False, height_ratios=ratios)
        return list(grid[:, 0])


def beside(count: int, *, height: float, ratios: list[float]) -> list[Axes]:
    """So many panels beside one another; height of the figure in inches."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(10.0, height), layout="constrained")
        return list(figure.subplots(1, count, squeeze=False, width_ratios=ratios)[0])


def legend(axes: Axes, *, columns: int) -> None:
    """Above the panel, where it hides nothing."""
    with mpl.rc_context(STYLE):
        axes.legend(ncols=columns, loc="lower left", bbox_to_anchor=(0.0, 1.0), borderaxespad=0.2)


def color_bar(axes: Axes, image: ScalarMappable, title: str) -> None:
    """What the colours of a heat-map or of dots mean, on the right."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    with mpl.rc_context(STYLE):
        bar = figure.colorbar(image, ax=axes, label=title, pad=0.01, aspect=30)
    for spine in bar.ax.spines.values():
        spine.set_visible(False)
    if bar.solids is not None:
        bar.solids.set_rasterized(True)


def png(axes: Axes, path: Path) -> None:
    """The figure of `axes` as a small file."""
    figure = axes.get_figure(root=True)
    assert isinstance(figure, Figure)
    with mpl.rc_context(STYLE):
        save(figure, path)
