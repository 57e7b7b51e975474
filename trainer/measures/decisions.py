"""Decisions: what flags that somebody chose find, how late, and how often for nothing.

The service measures with the same functions, so they are kept on its scoring floor.
"""

from service.scoring.decisions import (
    EPISODE_GAP,
    composite_f1,
    delay_quantile,
    event_recall,
    f1,
    false_episodes,
    false_share,
    median_delay,
    precision,
    recall,
    recall_within,
)

__all__ = [
    "EPISODE_GAP",
    "composite_f1",
    "delay_quantile",
    "event_recall",
    "f1",
    "false_episodes",
    "false_share",
    "median_delay",
    "precision",
    "recall",
    "recall_within",
]
