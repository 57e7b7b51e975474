"""Drift: what exceeds its calibration again and again has left it, and must exceed it by more.

Per entity, the share of its recent points with p < COUNTED_P is kept. Where it is above SLACK times
what calibration promised, small p-values are too small by that ratio, and every surprisal is
lowered by its logarithm, at most ln(1 / (SLACK COUNTED_P)) = 4.8 nats. The promise is then kept
about data that move, without a label. The aim is that of adaptive conformal inference (Gibbs and
Candes, NeurIPS 2021), the means an exponential average: the correction fades by itself, and the
slack leaves rare faults of ordinary length uncorrected.
"""

import numpy as np
import numpy.typing as npt

COUNTED_P = 2e-3  # about the p of an alarm at the default budget and one point per minute
SLACK = 4.0  # times COUNTED_P, below which nothing is corrected (docs/detection-notes.md, 11)
_COUNTED_SURPRISAL = float(-np.log(COUNTED_P))

FloatArray = npt.NDArray[np.float64]


def corrected(surprisal: FloatArray, rate: FloatArray) -> FloatArray:
    """Surprisal (batch,) of entities whose recent share of exceedances is `rate` (batch,)."""
    excess = np.log(np.maximum(rate / (SLACK * COUNTED_P), 1.0))
    return np.asarray(np.maximum(surprisal - excess, 0.0))


def updated(rate: FloatArray, surprisal: FloatArray, *, half_life_points: float) -> FloatArray:
    """The share of exceedances (batch,) after points of so much uncorrected surprisal."""
    weight = 1.0 - 2.0 ** (-1.0 / half_life_points)
    return np.asarray(rate + weight * ((surprisal > _COUNTED_SURPRISAL) - rate))
