"""Rules: what an operator wants to hear of. They open and end incidents and change no score.

Every field holds one number per entity of a batch, or one for all of them. Only `budget` moves the
threshold, and so the score, which counts in thresholds.
"""

from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt

MAX_OPEN_WINDOW = 32  # points whose flags an incident remembers
WANTED_SHARE = 0.5  # of its blame that a point needs on wanted deviations to be flagged

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Gate:
    """Which deviations are wanted, by dimension."""

    up: BoolArray  # (..., dimension) value above expected
    down: BoolArray  # (..., dimension) value below expected
    min_deviation: FloatArray  # (..., dimension) raw units of |value - expected|

    def wants(self, deviations: FloatArray, contributions: npt.NDArray[np.float32]) -> BoolArray:
        """Whether points (batch,) put half of their blame on wanted deviations.

        `deviations` (batch, dimension) are value - expected in raw units, NaN = missing.
        """
        is_wanted = np.where(deviations > 0, self.up, self.down)
        is_wanted &= np.abs(deviations) >= self.min_deviation
        blame = contributions.astype(np.float64)
        wanted = np.where(is_wanted, blame, 0.0)
        return np.asarray(wanted.sum(axis=1) >= WANTED_SHARE * blame.sum(axis=1))


@dataclass(frozen=True)
class Rules:
    """When incidents open and end."""

    open_count: IntArray  # k: so many flagged ...
    open_window: IntArray  # ... of the last n points open one
    resolve_after: IntArray  # quiet points in a row
    resolve_below: FloatArray  # a score above it, up to 1, is not quiet
    cool_down_ms: IntArray  # after one ended no other opens
    is_closed: BoolArray  # muted, or maintenance: none opens
    is_public: BoolArray  # people are told of one that opens now, until it ends
    budget: FloatArray | None = None  # NaN: the default; None: everywhere
    gate: Gate | None = None  # None: every deviation is wanted

    def at(self, members: npt.NDArray[np.int64]) -> "Rules":
        """Those of some entities."""
        gate = self.gate and Gate(
            **{field.name: getattr(self.gate, field.name)[members] for field in fields(Gate)}
        )
        numbers = {
            field.name: array[members]
            for field in fields(Rules)
            if isinstance(array := getattr(self, field.name), np.ndarray) and array.ndim
        }
        return replace(self, **numbers, gate=gate)


PLAIN = Rules(
    open_count=np.array(1),
    open_window=np.array(1),
    resolve_after=np.array(5),
    resolve_below=np.array(1.0),
    cool_down_ms=np.array(0),
    is_closed=np.array(False),
    is_public=np.array(True),
)
