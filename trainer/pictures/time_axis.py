"""The axis of time: in which unit, and what is shaded along it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from service.scoring.series import Series
from trainer.measures.events import BoolArray, FloatArray, runs
from trainer.pictures.ink import ALARM, LABEL

UNITS = (("days", 86_400.0), ("hours", 3_600.0), ("minutes", 60.0))
LEAST_SHARE = 1 / 600  # of the axis, so that an event of one point can be seen


@dataclass(frozen=True)
class Span:
    """Rows of a series, and their times in a unit that a person reads easily."""

    series: Series
    rows: slice
    times: FloatArray  # (time,)
    title: str  # of the axis
    marks: tuple[float, ...] = ()  # times at which something begins or ends


def span_of(series: Series) -> Span:
    """Of all rows."""
    seconds = (series.timestamps_ms - series.timestamps_ms[0]) / 1000.0
    unit, length = _unit(seconds)
    rows = slice(0, len(series.values))
    return Span(series, rows, seconds / length, f"{unit} since the first point")


def span_around(series: Series, rows: slice, *, first: int, last: int) -> Span:
    """Of `rows` around an incident from row `first` to row `last`."""
    stamps = series.timestamps_ms
    seconds = (stamps[rows] - stamps[first]) / 1000.0
    unit, length = _unit(seconds)
    marks = (0.0, float(stamps[last] - stamps[first]) / 1000.0 / length)
    return Span(series, rows, seconds / length, f"{unit} since the incident opened", marks)


def _unit(seconds: FloatArray) -> tuple[str, float]:
    """The longest unit of which at least three pass."""
    long = [(unit, length) for unit, length in UNITS if np.ptp(seconds) >= 3 * length]
    return long[0] if long else UNITS[-1]


def finish(panels: Sequence[Axes], span: Span) -> None:
    """Shade what is labelled, name the axis, and let it begin and end with the rows."""
    for place, axes in enumerate(panels):
        if span.series.label is not None:
            shade(axes, span.times, span.series.label[span.rows], named=place == 0)
        mark(axes, span)
        axes.set_xlim(span.times[0], span.times[-1])
    panels[-1].set_xlabel(span.title)


def mark(axes: Axes, span: Span) -> None:
    """Dashed lines where the incident opened and where it was resolved."""
    for time in span.marks:
        axes.axvline(time, color=ALARM, linewidth=0.9, linestyle="--")


def shade(axes: Axes, times: FloatArray, flags: BoolArray, *, named: bool) -> None:
    """Vertical stripes where `flags` (time,) hold."""
    least = (times[-1] - times[0]) * LEAST_SHARE
    for number, (start, end) in enumerate(runs(flags)):
        middle, half = (times[start] + times[end]) / 2, max(times[end] - times[start], least) / 2
        name = "labelled anomaly" if named and number == 0 else None
        axes.axvspan(middle - half, middle + half, color=LABEL, lw=0, zorder=0, label=name)


def _plain(text: str) -> str:
    """A name as it is, not as a formula."""
    return text.replace("$", r"\$")


def ticks_of(names: Sequence[str]) -> list[str]:
    """Names of dimensions for an axis: not as formulas, and no longer than fits."""
    return [_plain(name if len(name) <= 24 else f"{name[:23]}…") for name in names]


def edges_of(times: FloatArray, rows: np.ndarray[tuple[int], np.dtype[np.int64]]) -> FloatArray:
    """Times of the edges of bins whose first rows (and end) are given: (bin + 1,)."""
    step = float(np.median(np.diff(times))) if len(times) > 1 else 1.0
    return np.append(times, times[-1] + step)[rows]
