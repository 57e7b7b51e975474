"""Deciding: from the surprisal of a point to a flag, under the budget and the rules in force."""

import math

import numpy as np
import numpy.typing as npt

from service.errors import SettingInvalid
from service.scoring.bundle import Bundle
from service.scoring.judge import Judged
from service.scoring.rules import Rules
from service.scoring.tail import threshold_surprisal
from service.scoring.verdict import BoolArray, FloatArray, Points


class Decider:
    """Thresholds of one bundle; `budget` is false incidents per entity and day."""

    def __init__(self, bundle: Bundle, budget: float) -> None:
        if not (math.isfinite(budget) and budget > 0):
            raise SettingInvalid(f"expected a finite false-alarm budget above 0, got {budget}")
        self.budget = budget
        self._kappa, self._center = bundle.calibration.kappa, bundle.calibration.center
        self._period_seconds = bundle.manifest.period_seconds
        self._usual = self._thresholds(self._kappa, budget)

    def thresholds(self, entity_index: npt.NDArray[np.int64], rules: Rules) -> FloatArray:
        """-ln p beyond which points (batch,) are anomalous."""
        if rules.budget is None:
            return self._usual[entity_index]
        budget = np.where(np.isnan(rules.budget), self.budget, rules.budget)
        return self._thresholds(self._kappa[entity_index], budget)

    def wanted(
        self, is_anomaly: BoolArray, points: Points, judged: Judged, rules: Rules
    ) -> BoolArray:
        """Anomalies (batch,) that the rules want to hear of."""
        if rules.gate is None or not is_anomaly.any():
            return is_anomaly
        values = points.values + self._center[points.entity_index]
        return is_anomaly & rules.gate.wants(values - judged.expected, judged.contributions)

    def _thresholds(self, kappa: FloatArray, budget: float | FloatArray) -> FloatArray:
        return threshold_surprisal(kappa, budget=budget, period_seconds=self._period_seconds)
