"""Injection: where faults strike a clean series, whom, and the label that tells it.

The first part stays clean, for warming up. The rest gets segments far enough from each other to be
events of their own; a segment moves until its fault can be seen there. Everything follows from the
seed, the entity, the faults and the draw, by a hash that is the same on every machine.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from service.errors import BadSeries
from service.scoring.series import FloatArray, Segment, Series
from trainer.benchmark.faults import (
    EFFECTS,
    LEAST_CHANGE,
    LONGEST_LAG,
    TRIES,
    FaultName,
    Scene,
    Seen,
)

MOST_CULPRITS = 4
MOVES = 500  # of a segment, or of the lengths of all


@dataclass(frozen=True)
class Layout:
    """How much of a series is struck."""

    segments: int = 12
    shortest: int = 20  # points
    longest: int = 100
    least_share: float = 0.14  # of the points behind the clean part
    most_share: float = 0.18
    clean_share: float = 1 / 3
    quiet_points: int = 30  # at least so many between two segments, and after the last
    least_change: float = 0.0  # that a culprit shows, where more than its fault asks for


Struck = dict[int, FloatArray]  # culprit: its values (time,)


def inject(
    series: Series,
    seen: Seen,
    *,
    faults: Sequence[FaultName],
    draw: int,
    seed: int = 0,
    layout: Layout | None = None,
) -> Series:
    """The series with the faults in turn; raises BadSeries where they do not fit in.

    Its label says which points were struck, its segments name the culprits.
    """
    layout = layout or Layout()
    random = stream(seed, series.entity, "+".join(faults), draw)
    values = series.values.copy()
    is_free = _room(series, layout)
    segments: list[Segment] = []
    for number, count in enumerate(_counts(series, layout, random)):
        fault = faults[number % len(faults)]
        least = max(LEAST_CHANGE[fault], layout.least_change)
        scene = Scene(series.values, 0, count, seen, least_change=least)
        start, struck = _find(fault, scene, is_free, random)
        for column, become in struck.items():
            values[start : start + count, column] = become
        is_free[max(start - layout.quiet_points, 0) : start + count + layout.quiet_points] = False
        segments.append(Segment(start, start + count - 1, tuple(sorted(struck))))
    segments.sort(key=lambda segment: segment.start)
    label = np.zeros(len(values), np.bool_)
    for segment in segments:
        label[segment.start : segment.end + 1] = True
    return replace(series, values=values, label=label, segments=tuple(segments))


def stream(seed: int, *names: object) -> np.random.Generator:
    """Chance that depends on the names and on nothing else."""
    text = "/".join(map(str, (seed, *names)))
    return np.random.default_rng(list(hashlib.sha256(text.encode()).digest()))


def clean_points(length: int, layout: Layout) -> int:
    """Points of the clean part; a lag needs some behind it."""
    return max(round(length * layout.clean_share), LONGEST_LAG)


def _room(series: Series, layout: Layout) -> npt.NDArray[np.bool_]:
    is_free = np.ones(len(series.values), np.bool_)
    is_free[: clean_points(len(is_free), layout)] = False
    is_free[len(is_free) - layout.quiet_points :] = False
    return is_free


def _counts(series: Series, layout: Layout, random: np.random.Generator) -> list[int]:
    """Points of each segment, drawn until their sum is the wanted share."""
    behind = len(series.values) - clean_points(len(series.values), layout)
    for _ in range(MOVES):
        counts = random.integers(layout.shortest, layout.longest + 1, layout.segments)
        if layout.least_share * behind <= counts.sum() <= layout.most_share * behind:
            return [int(count) for count in counts]
    raise BadSeries(
        f"entity {series.entity}: expected {layout.segments} segments of {layout.shortest} to "
        f"{layout.longest} points to fill {layout.least_share:.0%} to {layout.most_share:.0%} "
        f"of {behind} points"
    )


def _find(
    fault: FaultName, scene: Scene, is_free: npt.NDArray[np.bool_], random: np.random.Generator
) -> tuple[int, Struck]:
    """A free place where the fault can be seen, and what it does there."""
    taken = np.concatenate([[0], np.cumsum(~is_free)])
    starts = np.flatnonzero(taken[scene.count :] == taken[: -scene.count])
    for start in random.permutation(starts)[:MOVES].tolist():
        struck = _strike(fault, replace(scene, start=start), random)
        if struck:
            return start, struck
    raise BadSeries(f"expected a place where {fault} can be seen, came {len(starts)} without")


def _strike(fault: FaultName, scene: Scene, random: np.random.Generator) -> Struck:
    """Values of one to four culprits in which the fault can be seen; none if there are none."""
    able = _able(fault, scene)
    if not able:
        return {}
    wanted = int(random.integers(1, MOST_CULPRITS // len(able[0]) + 1)) * len(able[0])
    struck: Struck = {}
    for index in random.permutation(len(able)).tolist():
        columns = able[index]
        if len(struck) < wanted and struck.keys().isdisjoint(columns):
            struck |= _visible(fault, scene, columns, random)
    return struck


def _able(fault: FaultName, scene: Scene) -> list[tuple[int, ...]]:
    """Dimensions that this fault may strike together: none that is constant there."""
    moves = (np.ptp(scene.values, axis=0) > 0) & (scene.seen.sd > 0)
    if fault == "pair":
        return [both for both in scene.seen.pairs if moves[[*both]].all()]
    return [(column,) for column in np.flatnonzero(moves).tolist()]


def _visible(
    fault: FaultName, scene: Scene, columns: tuple[int, ...], random: np.random.Generator
) -> Struck:
    """What becomes of the columns; nothing if it would not be seen in each of them."""
    least = scene.least_change * scene.seen.sd[[*columns]]
    for _ in range(TRIES[fault]):
        become = EFFECTS[fault](scene, columns, random)
        change = np.abs(become - scene.values[:, columns]).mean(axis=0)
        if (change >= least).all():
            return dict(zip(columns, become.T, strict=True))
    return {}
