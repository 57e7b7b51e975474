"""Missing values: carried forward from the last one seen, and dimensions that got lost.

The state of an entity counts, per dimension, the points in a row without a value.
"""

import numpy as np
import numpy.typing as npt

LOST_AFTER = 5  # points without a value before a dimension counts as lost
NEVER_SEEN = np.iinfo(np.uint16).max

Float32Array = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]
Entities = npt.NDArray[np.void]  # (batch,) the part `entity` of the states


def impute(entity: Entities, values: Float32Array) -> tuple[Float32Array, BoolArray]:
    """Carry the last value forward where one is missing; the centre (0) before the first."""
    missing = np.isnan(values)
    if not missing.any():
        entity["values"], entity["missing"] = values, 0
        return values, missing
    entity["values"] = np.where(missing, entity["values"], values)
    run = np.minimum(entity["missing"] + np.uint32(1), np.uint32(NEVER_SEEN - 1))
    run = np.where(entity["missing"] == NEVER_SEEN, np.uint32(NEVER_SEEN), run)
    entity["missing"] = np.where(missing, run, 0)
    return entity["values"].copy(), missing


def is_lost(entity: Entities) -> BoolArray:
    """A dimension that was there, and has been missing for a while: (batch, dimension)."""
    lost: BoolArray = (entity["missing"] >= LOST_AFTER) & (entity["missing"] < NEVER_SEEN)
    return lost


def accept_loss(entity: Entities, accepts: BoolArray) -> None:
    """Where it is accepted (batch,), a lost dimension is as if it had never been there."""
    accepted = accepts[:, None] & is_lost(entity)
    entity["missing"] = np.where(accepted, NEVER_SEEN, entity["missing"])
