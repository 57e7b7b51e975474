"""Decisions: what flags that somebody chose find of labelled events, and how often for nothing.

Events are maximal runs of labelled points. Undefined measures are NaN.
"""

from collections.abc import Iterable
from statistics import harmonic_mean

import numpy as np
import numpy.typing as npt

from service.scoring.incident import RESOLVE_AFTER

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]

EPISODE_GAP = RESOLVE_AFTER - 1  # quiet points an alarm episode outlives, as an incident does


def runs(flags: BoolArray, *, gap: int = 0) -> list[tuple[int, int]]:
    """Runs (start, end inclusive) of True; runs with at most `gap` points between them are one."""
    at = np.flatnonzero(flags)
    if not len(at):
        return []
    is_break = np.diff(at) > gap + 1
    starts = at[np.concatenate([[True], is_break])]
    ends = at[np.concatenate([is_break, [True]])]
    return list(zip(starts.tolist(), ends.tolist(), strict=True))


def outside(label: BoolArray, stretches: Iterable[tuple[int, int]]) -> int:
    """How many stretches (start, end inclusive) touch no labelled point."""
    return sum(not label[start : end + 1].any() for start, end in stretches)


def precision(label: BoolArray, flags: BoolArray) -> float:
    """Share of the flagged points that are labelled; 0 if none is flagged."""
    if not label.any():
        return float("nan")
    return float((label & flags).sum() / max(flags.sum(), 1))


def recall(label: BoolArray, flags: BoolArray) -> float:
    """Share of the labelled points that are flagged."""
    return float((label & flags).sum() / label.sum()) if label.any() else float("nan")


def f1(label: BoolArray, flags: BoolArray) -> float:
    """Harmonic mean of point precision and point recall."""
    if not label.any():
        return float("nan")
    return harmonic_mean((precision(label, flags), recall(label, flags)))


def composite_f1(label: BoolArray, flags: BoolArray) -> float:
    """Harmonic mean of point precision and event recall (Garg et al., TNNLS 2021)."""
    if not label.any():
        return float("nan")
    return harmonic_mean((precision(label, flags), event_recall(label, flags)))


def event_recall(label: BoolArray, flags: BoolArray) -> float:
    """Share of events with at least one flagged point."""
    return recall_within(label, flags, points=len(label))


def recall_within(label: BoolArray, flags: BoolArray, *, points: int) -> float:
    """Share of events flagged at most `points` points late: among their first `points` + 1.

    A flag after the event has ended never counts, however short the event.
    """
    events = len(runs(label))
    return float((delays(label, flags) <= points).sum() / events) if events else float("nan")


def delay_quantile(label: BoolArray, flags: BoolArray, *, quantile: float) -> float:
    """Quantile of the points from the start of an event to its first flag.

    Missed events do not count, so it says little without the share of events that were found.
    """
    found = delays(label, flags)
    return float(np.quantile(found, quantile)) if len(found) else float("nan")


def median_delay(label: BoolArray, flags: BoolArray) -> float:
    """Median points from the start of an event to its first flag; missed events do not count."""
    return delay_quantile(label, flags, quantile=0.5)


def delays(label: BoolArray, flags: BoolArray) -> IntArray:
    """Points from the start of each event that was found to its first flag: (found,)."""
    inside = [flags[start : end + 1] for start, end in runs(label)]
    return np.array([event.argmax() for event in inside if event.any()], np.int64)


def false_episodes(label: BoolArray, flags: BoolArray, *, gap: int = EPISODE_GAP) -> int:
    """Alarm episodes that touch no event; alarms at most `gap` quiet points apart are one."""
    return outside(label, runs(flags, gap=gap))


def false_share(label: BoolArray, flags: BoolArray) -> float:
    """Share of the points outside events that are flagged."""
    return float(flags[~label].mean()) if not label.all() else float("nan")
