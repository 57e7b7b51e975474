"""Verdicts: what goes into the fold and what it concludes, as arrays over a batch."""

from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

import numpy as np
import numpy.typing as npt

from service.scoring.incident import Evidence

TOP_CAUSES = 5

FloatArray = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]
States = npt.NDArray[np.void]


class Status(IntEnum):
    """What became of a point that was folded."""

    WARMING = 0
    CALIBRATING = 1
    SCORED = 2


# To look a member up by its name costs Python more than most of these arrays do.
WARMING, CALIBRATING, SCORED = (int(status) for status in Status)


@dataclass(frozen=True)
class Points:
    """One point each of distinct entities."""

    entity_index: npt.NDArray[np.int64]  # (batch,)
    timestamps_ms: npt.NDArray[np.int64]  # (batch,)
    values: Float32Array  # (batch, dimension) minus the centre of the entity, NaN = missing


@dataclass(frozen=True)
class Decided:
    """What the log already says of points that are replayed; it is not decided again."""

    is_flagged: BoolArray  # (batch,)
    score: FloatArray
    severity: FloatArray
    transition: npt.NDArray[np.uint8]  # of the incident
    holds: BoolArray
    is_public: BoolArray


@dataclass(frozen=True)
class Verdicts(Evidence):
    """The conclusion about each point of a batch; NaN where nothing was scored.

    `is_flagged` is what opens incidents: the point is anomalous, in a way that the rules want to
    hear of, or a dimension was lost.
    """

    status: npt.NDArray[np.uint8]  # (batch,)
    have: npt.NDArray[np.int64]  # points seen, this one included
    surprisal: FloatArray  # -ln p
    is_anomaly: BoolArray
    expected: FloatArray  # (batch, dimension) raw units
    missing: BoolArray  # (batch, dimension)
    transition: npt.NDArray[np.uint8]  # Transition of the incident
    incident: States  # (batch,) the incident after this point

    @cached_property
    def shares(self) -> FloatArray:
        """Contributions that sum to 1 per point, or are all 0: (batch, dimension)."""
        return shares_of(self.contributions)


def shares_of(contributions: Float32Array) -> FloatArray:
    """Shares (batch, dimension) that sum to 1 per row, or are all 0."""
    total = contributions.sum(axis=1, keepdims=True, dtype=np.float64)
    shares: FloatArray = np.divide(
        contributions, total, out=np.zeros(contributions.shape), where=total > 0
    )
    return shares


def top_causes(shares: FloatArray, count: int = TOP_CAUSES) -> npt.NDArray[np.int64]:
    """The dimensions (batch, count) with the largest shares, largest first, ties by position."""
    return np.argsort(-shares, axis=1, kind="stable")[:, :count]
