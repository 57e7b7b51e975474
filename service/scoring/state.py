"""The state of an entity: what a snapshot holds, and how it begins."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from service.scoring.bundle import Bundle, StateTensor
from service.scoring.combine import HALF_LIVES_POINTS
from service.scoring.drift import COUNTED_P
from service.scoring.incident import incident_dtype
from service.scoring.layout import aligned
from service.scoring.missing import NEVER_SEEN, accept_loss
from service.scoring.normaliser import starting_age
from service.scoring.verdict import BoolArray, States

STATE_FORMAT = 6  # a snapshot of another format, or of another bundle, is never read


def state_dtype(
    *, dimensions: int, views: int, tensors: Sequence[StateTensor]
) -> np.dtype[np.void]:
    """One entity: `entity` survives a change of bundle, `model` belongs to this one."""
    entity = [
        ("timestamp_ms", "<i8"),  # of the newest point; always first
        ("values", "<f4", (dimensions,)),  # the last of each dimension
        ("missing", "<u2", (dimensions,)),  # points in a row without a value
        ("is_silent", "?"),  # no point came for too long; the next one ends it
        ("incident", incident_dtype(dimensions)),
    ]
    model = [
        ("have", "<i8"),
        ("age", "<i8"),
        ("recent", "<f8", (len(HALF_LIVES_POINTS),)),  # averages of severity
        ("exceedance_rate", "<f8"),  # share of recent points, see drift
        ("normaliser", "<f4", (2, views, dimensions)),  # mean and deviation
        *((tensor.name, "<f4", tensor.shape) for tensor in tensors),
    ]
    return np.dtype([("entity", aligned(entity)), ("model", aligned(model))])


def fresh_states(
    dtype: np.dtype[np.void], bundle: Bundle, entity_index: npt.NDArray[np.int64]
) -> States:
    """States (batch,) of entities that were never seen."""
    states = np.zeros(len(entity_index), dtype)
    states["entity"]["missing"] = NEVER_SEEN
    states["model"]["normaliser"] = np.moveaxis(bundle.calibration.seed[entity_index], -1, 1)
    states["model"]["age"] = starting_age(entity_index)
    states["model"]["exceedance_rate"] = COUNTED_P
    return states


def begin_again(states: States, begins: BoolArray) -> None:
    """Where a new normal begins (batch,), in place; what is lost then is not missed any more."""
    accept_loss(states["entity"], begins)
    model = states["model"]
    model["age"] = np.where(begins, 0, model["age"])
    model["recent"] = np.where(begins[:, None], 0.0, model["recent"])
    model["exceedance_rate"] = np.where(begins, COUNTED_P, model["exceedance_rate"])
