"""The judge: what errors say of one point, before anything is decided about its entity."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from service.scoring.bundle import Bundle
from service.scoring.combine import combined
from service.scoring.detector import Detection
from service.scoring.normaliser import LN_2, Normaliser
from service.scoring.tail import KNOTS, surprisal

FloatArray = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]


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
        self._center = bundle.calibration.center
        self._cap = bundle.calibration.cap.astype(np.float32)
        self._normaliser = normaliser
        self._deciding, self._ranking = (
            [v for v, view in enumerate(views) if view.role in (role, "both")]
            for role in ("score", "severity")
        )
        weights = np.array([view.weight for view in views])
        self._deciding_weights = weights[self._deciding]
        self._ranking_weights = weights[self._ranking]
        self._tails = 1 + len(views)  # of each entity: one per view, and that of the alarm
        self._knots = bundle.calibration.knots.reshape(-1, KNOTS)
        self._tail = bundle.calibration.tail.reshape(-1, bundle.calibration.tail.shape[-1])
        # Contributions explain the score: its views alone.
        self._per_nat = 1.0 / bundle.calibration.excess.astype(np.float32)[:, self._deciding]

    def judge(
        self,
        state: Float32Array,
        detection: Detection,
        *,
        entity_index: npt.NDArray[np.int64],
        missing: BoolArray,
    ) -> Judged:
        """Judge a batch by the state of its normalisers (batch, 2, view, dimension)."""
        errors = self._normaliser.view_errors(detection.error)
        deviations = self._normaliser.deviations(state, errors)
        cap = self._cap[entity_index]
        nats = self._normaliser.surprisal(deviations, cap=cap, is_missing=missing)
        aggregates = self._normaliser.aggregates(nats)
        row = entity_index[:, None] * self._tails + np.arange(self._tails)
        levels = self._level(aggregates, row[:, :-1])  # (batch, view)
        alarm = combined(levels[:, self._deciding], self._deciding_weights)
        return Judged(
            deviations=deviations,
            surprisal=self._level(alarm, row[:, -1]),
            severity=combined(levels[:, self._ranking], self._ranking_weights),
            contributions=self._contributions(nats, entity_index),
            expected=detection.expected + self._center[entity_index],
            missing=missing,
        )

    def _level(self, aggregates: FloatArray, row: IntArray) -> FloatArray:
        """-ln p of each, by its row of the tails."""
        return surprisal(aggregates, self._knots, self._tail, row=row)

    def _contributions(self, nats: Float32Array, entity_index: IntArray) -> Float32Array:
        """What each dimension (batch, dimension) adds above the usual."""
        per_nat = self._per_nat[entity_index]
        total = np.zeros((len(nats), nats.shape[2]), np.float32)
        for number, view in enumerate(self._deciding):
            excess = nats[:, view] - np.float32(LN_2)
            np.maximum(excess, np.float32(0.0), out=excess)
            excess *= per_nat[:, number, None]
            total += excess
        return total
