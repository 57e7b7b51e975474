"""Point-adjusted F1: kept for comparison with published figures, never a result of its own."""

import numpy as np

from trainer.measures.events import BoolArray, FloatArray, peaks, runs


def point_adjusted_f1(label: BoolArray, score: FloatArray) -> float:
    """The best point-adjusted F1 of any threshold. For an appendix only, beside a random score.

    One flagged point makes its whole event count as flagged (Xu et al., WWW 2018). That is
    inflated: long events make a random score look good (Kim et al., "Towards a Rigorous Evaluation
    of Time-Series Anomaly Detection", AAAI 2022). All distinct thresholds are tried.
    """
    if not label.any():
        return float("nan")
    lengths = np.array([end + 1 - start for start, end in runs(label)])
    highest = peaks(label, score)
    order = np.argsort(highest)
    thresholds = np.unique(score)
    missed = np.searchsorted(highest[order], thresholds, side="left")  # events below
    hits = label.sum() - np.append(0, np.cumsum(lengths[order]))[missed]
    normal = np.sort(score[~label])
    false = len(normal) - np.searchsorted(normal, thresholds, side="left")
    return float((2.0 * hits / (hits + false + label.sum())).max())
