"""The judge: what errors say of one point, before anything is decided about its entity."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from service.scoring.bundle import Bundle
from service.scoring.combine import combined
from service.scoring.detector import Detection
from service.scoring.normaliser import LN_2, Normaliser
from service.scoring.tail import surprisal

FloatArray = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Judged:
    """What one point of each entity of a batch says."""

    deviations: Float32Array  # (batch, view, dimension)
    surprisal: FloatArray  # (batch,) of the alarm score
    severity: FloatArray  # (batch,) of this point alone
    contributions: Float32Array  # (batch, dimension)
    expected: FloatArray  # (batch, dimension)
    missing: BoolArray  # (batch, dimension)


class Judge:
    """One bundle's views, combined: the first role decides, the second ranks."""

    def __init__(self, bundle: Bundle, normaliser: Normaliser) -> None:
        views = bundle.manifest.views
        self._calibration = bundle.calibration
        self._normaliser = normaliser
        self._deciding, self._ranking = (
            [v for v, view in enumerate(views) if view.role in (role, "both")]
            for role in ("score", "severity")
        )
        weights = np.array([view.weight for view in views])
        self._deciding_weights = weights[self._deciding]
        self._ranking_weights = weights[self._ranking]
        # Contributions explain the score: its views alone.
        self._unit = bundle.calibration.excess.astype(np.float32)[:, self._deciding, None]

    def judge(
        self,
        state: Float32Array,
        detection: Detection,
        *,
        entity_index: npt.NDArray[np.int64],
        missing: BoolArray,
    ) -> Judged:
        """Judge a batch by the state of its normalisers (batch, view, dimension, 2)."""
        calibration = self._calibration
        errors = self._normaliser.view_errors(detection.error)
        deviations = self._normaliser.deviations(state, errors)
        is_constant = calibration.is_constant[entity_index]
        nats = self._normaliser.surprisal(deviations, is_constant=is_constant, is_missing=missing)
        aggregates = self._normaliser.aggregates(nats)
        knots, tail = calibration.knots[entity_index], calibration.tail[entity_index]
        levels = surprisal(aggregates, knots[:, :-1], tail[:, :-1])  # (batch, view)
        alarm = combined(levels[:, self._deciding], self._deciding_weights)
        excess = np.maximum(nats[:, self._deciding] - np.float32(LN_2), 0.0)
        return Judged(
            deviations=deviations,
            surprisal=surprisal(alarm, knots[:, -1], tail[:, -1]),
            severity=combined(levels[:, self._ranking], self._ranking_weights),
            contributions=np.ascontiguousarray((excess / self._unit[entity_index]).sum(axis=1)),
            expected=detection.expected + calibration.center[entity_index],
            missing=missing,
        )
