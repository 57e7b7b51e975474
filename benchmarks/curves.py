"""Curves of a benchmark: one panel per persistence mode, one line per service and figure."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from trainer.canvas import ALARM, MODEL, QUIET, TRUE, clean, save

COLORS = (TRUE, MODEL, QUIET, ALARM)
Line = Sequence[tuple[float, float]]


def draw(path: Path, panels: Mapping[str, Mapping[str, Line]], *, said: tuple[str, str]) -> None:
    """Panels side by side, both axes logarithmic; `said` of the axes."""
    figure = Figure(figsize=(9.0, 3.6), layout="constrained")
    drawn = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, (title, lines) in zip(drawn, panels.items(), strict=True):
        for number, (name, line) in enumerate(lines.items()):
            color, style = COLORS[number // 2 % len(COLORS)], "-" if number % 2 == 0 else "--"
            axes.plot(*zip(*line, strict=True), style, marker="o", ms=3, color=color, label=name)
        axes.set_title(f"persistence: {title}", fontsize=9)
        axes.set_xscale("log")
        axes.set_yscale("log")
        measured = sorted({x for line in lines.values() for x, _ in line})
        axes.set_xticks(measured, [f"{x:,.0f}" for x in measured])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlabel(said[0])
        clean(axes)
    drawn[0].set_ylabel(said[1])
    drawn[0].legend(frameon=False, fontsize=8)
    save(figure, path)
