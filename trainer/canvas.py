"""The canvas of every plot: palette, panels, and small files."""

from io import BytesIO
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

TRUE, MODEL, ALARM, LABEL, QUIET = "#1f5fa8", "#e08214", "#c0282d", "#f4c7b8", "#8a8f98"
DOTS_PER_INCH = 100
COLORS = 256  # of a picture file, chosen so that rare ones stay, too


def figure_of(width: float, height: float) -> tuple[Figure, Axes]:
    """An empty figure of one panel; inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    clean(axes)
    return figure, axes


def clean(axes: Axes) -> None:
    """No box around the panel, small figures at its axes."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    axes.xaxis.label.set_fontsize(9)
    axes.yaxis.label.set_fontsize(9)


def save(figure: Figure, path: Path) -> None:
    """Write with few colours: a plot has few, and the bundle travels with its report."""
    picture = BytesIO()
    # without the library's version in it, equal arrays give equal files
    figure.savefig(picture, dpi=DOTS_PER_INCH, facecolor="white", metadata={"Software": None})
    with Image.open(picture) as image:
        plain = image.convert("RGB")
        few = plain.quantize(COLORS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        few.save(path, optimize=True)
