"""Kappa: how many exceedances of a threshold make one incident."""

import numpy as np

from service.scoring.incident import RESOLVE_AFTER
from service.scoring.tail import flagged_share
from trainer.measures.events import FloatArray, runs

ROUNDS = 4
MIN_EXCEEDANCES = 20  # fewer say nothing about how many share an incident


def fit_kappa(alarm: FloatArray, *, budget: float, period_seconds: float) -> float:
    """Exceedances per incident at the threshold that kappa itself leads to.

    Runs grow shorter where the threshold is higher, so kappa is counted where it is used, or at
    the rarest share that still leaves enough points to count.
    """
    kappa, counted = 1.0, 0.0
    for _ in range(ROUNDS):
        p0 = flagged_share(np.array(kappa), budget=budget, period_seconds=period_seconds)
        share = max(float(p0), MIN_EXCEEDANCES / len(alarm))
        if share == counted:
            break
        kappa, counted = exceedances_per_incident(alarm, share), share
    return kappa


def exceedances_per_incident(alarm: FloatArray, share: float) -> float:
    """How many of the highest `share` of points open one incident.

    Incidents are counted as the incident stage opens them, a test holds the two together.
    """
    is_flagged = alarm > np.quantile(alarm, 1.0 - share)
    incidents = len(runs(is_flagged, gap=RESOLVE_AFTER - 1))
    return max(float(is_flagged.sum()) / max(incidents, 1), 1.0)
