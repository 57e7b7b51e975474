"""Faults for real rows: what becomes of the values of the culprits.

swap    a dimension shows itself at another time
pair    two correlated dimensions show each other, value for value of equal rank
lag     a dimension comes 5 to 30 points late
freeze  a dimension keeps the value it had before
leak    a dimension drifts by up to 2 to 4 standard deviations, inside its seen range

The first three break only relations between dimensions: each value is one that its dimension has
shown before. That is why `pair` is matched by rank: matched by mean and scale, two dimensions of
different shape would show values they never had. Correlated means .5 < |r| < .98: above, hardly
anything would change; below, hardly anything would break.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np

from service.scoring.series import FloatArray

FaultName = Literal["swap", "pair", "lag", "freeze", "leak"]
FAULTS: tuple[FaultName, ...] = ("swap", "pair", "lag", "freeze", "leak")

# mean absolute change of a culprit over a fault, in standard deviations; less is not seen
LEAST_CHANGE: Mapping[FaultName, float] = MappingProxyType(
    {"swap": 0.5, "pair": 0.5, "lag": 0.2, "freeze": 0.2, "leak": 0.5}
)
# fresh chances for the same culprits where the first is not seen
TRIES: Mapping[FaultName, int] = MappingProxyType(
    {"swap": 6, "pair": 1, "lag": 6, "freeze": 1, "leak": 6}
)
WEAKEST_PAIR, STRONGEST_PAIR = 0.5, 0.98  # absolute correlation
SHORTEST_LAG, LONGEST_LAG = 5, 30  # points
LOWEST_LEAK, HIGHEST_LEAK = 2.0, 4.0  # standard deviations


@dataclass(frozen=True)
class Seen:
    """What the dimensions have shown so far."""

    rows: FloatArray  # (time, dimension)
    ordered: FloatArray  # (time, dimension), each dimension from its least to its most
    sd: FloatArray  # (dimension,)
    pairs: tuple[tuple[int, int], ...]  # correlated dimensions


@dataclass(frozen=True)
class Scene:
    """What a fault finds: the clean rows, where it strikes, and what was seen before."""

    clean: FloatArray  # (time, dimension)
    start: int
    count: int
    seen: Seen
    least_change: float = 0.0  # of each culprit, below which the fault is not seen

    @property
    def values(self) -> FloatArray:
        """The clean rows where the fault strikes."""
        return self.clean[self.start : self.start + self.count]


Effect = Callable[[Scene, tuple[int, ...], np.random.Generator], FloatArray]


def look_at(rows: FloatArray) -> Seen:
    """Summarise rows (time, dimension) without missing values."""
    sd = np.where(np.ptp(rows, axis=0) > 0, rows.std(axis=0), 0.0)
    scaled = (rows - rows.mean(axis=0)) / np.where(sd > 0, sd, np.inf)
    strength = np.abs(scaled.T @ scaled) / len(rows)  # (dimension, dimension)
    is_pair = np.triu((strength > WEAKEST_PAIR) & (strength < STRONGEST_PAIR), k=1)
    pairs = tuple((int(first), int(second)) for first, second in np.argwhere(is_pair))
    return Seen(rows, np.asfortranarray(np.sort(rows, axis=0)), sd, pairs)


def swap(scene: Scene, columns: tuple[int, ...], random: np.random.Generator) -> FloatArray:
    """Each dimension from a time of its own among all that was seen."""
    starts = random.integers(0, len(scene.seen.rows) - scene.count + 1, len(columns))
    borrowed = [
        scene.seen.rows[start : start + scene.count, column]
        for start, column in zip(starts, columns, strict=True)
    ]
    return np.stack(borrowed, axis=1)


def pair(scene: Scene, columns: tuple[int, ...], _random: np.random.Generator) -> FloatArray:
    """Two dimensions in each other's place."""
    first, second = columns
    return np.stack([_as(scene, second, first), _as(scene, first, second)], axis=1)


def lag(scene: Scene, columns: tuple[int, ...], random: np.random.Generator) -> FloatArray:
    """Each value again, some points late."""
    start = scene.start - int(random.integers(SHORTEST_LAG, LONGEST_LAG + 1))
    return scene.clean[start : start + scene.count, columns]


def freeze(scene: Scene, columns: tuple[int, ...], _random: np.random.Generator) -> FloatArray:
    """The last value before the fault, held."""
    return np.tile(scene.clean[scene.start - 1, columns], (scene.count, 1))


def leak(scene: Scene, columns: tuple[int, ...], random: np.random.Generator) -> FloatArray:
    """A ramp up or down, clipped to the seen range."""
    sign = random.choice([-1.0, 1.0], len(columns))
    height = sign * random.uniform(LOWEST_LEAK, HIGHEST_LEAK, len(columns))
    ramp = np.arange(1, scene.count + 1)[:, np.newaxis] / scene.count
    leaking = scene.values[:, columns] + ramp * height * scene.seen.sd[[*columns]]
    low, high = scene.seen.ordered[[0, -1]][:, columns]
    return np.clip(leaking, low, high)


EFFECTS: Mapping[FaultName, Effect] = MappingProxyType(
    {"swap": swap, "pair": pair, "lag": lag, "freeze": freeze, "leak": leak}
)


def _as(scene: Scene, source: int, target: int) -> FloatArray:
    """Values of `source` as `target` would show them: what it showed at the same rank."""
    known, values = scene.seen.ordered[:, source], scene.values[:, source]
    below, upto = np.searchsorted(known, values, "left"), np.searchsorted(known, values, "right")
    rank = np.minimum((below + upto) // 2, len(known) - 1)  # the middle of equal values
    matched: FloatArray = scene.seen.ordered[rank, target]
    return matched
