"""Attribution: how well a ranking of dimensions by contribution finds the culprits G.

HitRate: Su et al., "Robust Anomaly Detection for Multivariate Time Series through Stochastic
Recurrent Neural Network", KDD 2019. RC-Top-k: Garg et al., "An Evaluation of Anomaly Detection and
Diagnosis in Multivariate Time Series", TNNLS 2021. NDCG: Jarvelin and Kekalainen, "Cumulated
Gain-Based Evaluation of IR Techniques", ACM TOIS 2002.
"""

from collections.abc import Sequence

import numpy as np

from trainer.measures.events import FloatArray, IntArray


def hit_rate(contribution: FloatArray, culprits: Sequence[int], *, percent: int) -> float:
    """Share of the culprits among the first floor(percent / 100 x |G|) dimensions."""
    top = _ranking(contribution)[: percent * len(culprits) // 100]
    return float(np.isin(list(culprits), top).mean())


def rc_top(contribution: FloatArray, culprits: Sequence[int], *, count: int) -> float:
    """1 if a culprit is among the first `count` dimensions, else 0."""
    return float(np.isin(_ranking(contribution)[:count], list(culprits)).any())


def ndcg(contribution: FloatArray, culprits: Sequence[int]) -> float:
    """Discounted cumulative gain of the first |G| dimensions, by the best possible one."""
    discounts = 1.0 / np.log2(np.arange(2, len(culprits) + 2))
    gains = np.isin(_ranking(contribution)[: len(culprits)], list(culprits))
    return float(discounts[: len(gains)] @ gains / discounts.sum())


def _ranking(contribution: FloatArray) -> IntArray:
    """Dimensions by falling contribution, ties by position."""
    return np.argsort(-contribution, kind="stable")
