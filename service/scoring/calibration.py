"""The calibration: the constants per entity that `calibration.npz` holds, and what they must be."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from service.scoring.manifest import Manifest
from service.scoring.tail import KNOTS

FloatArray = npt.NDArray[np.float64]

CAP = 1_000.0  # nats; not less: culprits are enormous (docs/detection-notes.md, Who is to blame)
CONSTANT_CAP = 20.0  # the same for a dimension that never moved in training


def usual_cap(is_constant: npt.NDArray[np.bool_]) -> FloatArray:
    """The cap of every dimension that is not a switch; a file that has no `cap` means this."""
    return np.where(is_constant, CONSTANT_CAP, CAP)


@dataclass(frozen=True)
class Calibration:
    """Constants per entity, fitted on held-out training points; row 0 is the pooled entity.

    E entities + 1, V views, D dimensions, K knots. Index V of the tails is the alarm score itself.
    """

    center: FloatArray  # (E, D) subtracted before float32, so that large counters keep their digits
    seed: FloatArray  # (E, V, D, 2) mean and deviation the normaliser starts from
    knots: FloatArray  # (E, V + 1, K) aggregates at equal steps of surprisal, the body
    tail: FloatArray  # (E, V + 1, 4) threshold, point share above it, GPD shape and scale
    excess: FloatArray  # (E, V) .99 quantile of the summed excess; the unit of contributions
    band: FloatArray  # (E, D) .99 quantile of |value - expected|, raw units
    kappa: FloatArray  # (E,) exceedances per incident
    is_constant: npt.NDArray[np.bool_]  # (E, D) never moved in training
    cap: FloatArray  # (E, D) nats that a dimension says at most

    def unlike(self, manifest: Manifest) -> Iterator[str]:
        """What is wrong with the arrays: shapes the manifest does not mean, impossible values."""
        for name, shape in _shapes(manifest).items():
            array = getattr(self, name)
            is_number = array.dtype.kind in "fb"
            if not is_number or array.shape != shape or not np.all(np.isfinite(array)):
                yield f"{name} must be finite of shape {shape}, is {array.dtype} of {array.shape}"
                return  # the rest cannot be asked
        _, share, shape_parameter, scale = np.moveaxis(self.tail, -1, 0)
        is_right = {
            "seed must have deviations of at least 0": self.seed[..., 1] >= 0,
            "knots must not fall": np.diff(self.knots, axis=-1) >= 0,
            "tail must have shares above 0 and at most 1": (share > 0) & (share <= 1),
            "tail must have shapes of at least 0": shape_parameter >= 0,
            "tail must have scales above 0": scale > 0,
            "excess must be above 0": self.excess > 0,
            "kappa must be at least 1": self.kappa >= 1,
            "cap must be above 0": self.cap > 0,
        }
        yield from (problem for problem, holds in is_right.items() if not np.all(holds))


def _shapes(manifest: Manifest) -> dict[str, tuple[int, ...]]:
    rows, views = len(manifest.entities) + 1, len(manifest.views)
    dimensions = len(manifest.dimensions)
    return {
        "center": (rows, dimensions),
        "seed": (rows, views, dimensions, 2),
        "knots": (rows, views + 1, KNOTS),
        "tail": (rows, views + 1, 4),
        "excess": (rows, views),
        "band": (rows, dimensions),
        "kappa": (rows,),
        "is_constant": (rows, dimensions),
        "cap": (rows, dimensions),
    }
