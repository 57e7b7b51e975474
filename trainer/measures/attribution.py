"""Attribution: how well a ranking of dimensions by blame finds the culprits."""

from collections.abc import Sequence

import numpy as np

from trainer.measures.events import FloatArray, IntArray


def hit_rate(blame: FloatArray, culprits: Sequence[int], *, percent: int) -> float:
    """Share of the culprits G among the first floor(percent / 100 x |G|) dimensions."""
    top = _ranking(blame)[: percent * len(culprits) // 100]
    return float(np.isin(list(culprits), top).mean())


def rc_top(blame: FloatArray, culprits: Sequence[int], *, count: int) -> float:
    """1 if a culprit is among the first `count` dimensions, else 0."""
    return float(np.isin(_ranking(blame)[:count], list(culprits)).any())


def ndcg(blame: FloatArray, culprits: Sequence[int]) -> float:
    """Discounted cumulative gain of the first |G| dimensions, by the best possible one."""
    discounts = 1.0 / np.log2(np.arange(2, len(culprits) + 2))
    gains = np.isin(_ranking(blame)[: len(culprits)], list(culprits))
    return float(discounts[: len(gains)] @ gains / discounts.sum())


def _ranking(blame: FloatArray) -> IntArray:
    """Dimensions by falling blame, ties by position."""
    return np.argsort(-blame, kind="stable")
