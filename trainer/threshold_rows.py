"""Rows of the table of thresholds: what each of them found in what the service scored."""

from collections.abc import Mapping, Sequence

import numpy as np

from service.scoring.bundle import Bundle
from service.scoring.offline import Scored
from service.scoring.series import Series
from service.scoring.tail import SECONDS_PER_DAY
from trainer.budget import budget_of
from trainer.evaluate import Evaluation, Measures, mean_over_entities
from trainer.measures.decisions import (
    composite_f1,
    event_recall,
    f1,
    false_episodes,
    median_delay,
    precision,
    recall,
)
from trainer.measures.events import BoolArray, FloatArray
from trainer.tables import markdown, table
from trainer.thresholds import ORACLE, Choice, Decided, decide, parse_choice

SERVICE = "service"  # the threshold that serves, from the budget: a score of 1
SHOWN = [
    parse_choice(text)
    for text in ("pot", "spot", "dspot", "quantile", "epsilon", "fixed:1.5", ORACLE)
]
SHOWN_MEASURES = {
    "threshold": "threshold",
    "budget": "budget that deploys it",
    "flagged_points": "flagged points",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "composite_f1": "composite F1",
    "event_recall": "events found",
    "false_episodes_per_day": "false episodes/day",
    "median_delay_points": "median delay, points",
}


def calm_scores(held_out: Sequence[Series], scored: Sequence[Scored]) -> dict[str, FloatArray]:
    """Entity -> the scores (n,) of its calibration stretch."""
    pairs = zip(held_out, scored, strict=True)
    return {one.entity: own.score[np.isfinite(own.score)] for one, own in pairs}


def threshold_rows(
    bundle: Bundle,
    evaluation: Evaluation,
    *,
    calibration: Mapping[str, FloatArray],
    choices: Sequence[Choice],
) -> dict[str, Measures]:
    """Threshold -> its measures, mean over the test series it can be chosen for.

    `calibration`: the scores of every entity's points taken as normal, see `calm_scores`.
    """
    period_seconds = bundle.manifest.period_seconds
    measured: dict[str, list[Measures]] = {SERVICE: [], **{str(one): [] for one in choices}}
    for one, own in zip(evaluation.series, evaluation.scored, strict=True):
        is_scored = np.isfinite(own.score)
        scores, calm = own.score[is_scored], calibration.get(one.entity, np.empty(0))
        label = None if one.label is None else one.label[is_scored]
        decisions: dict[str, Decided | None] = {
            SERVICE: Decided(1.0, own.is_anomaly[is_scored]),
            **{str(choice): decide(choice, calm, scores, label=label) for choice in choices},
        }
        for name, decided in decisions.items():
            if decided is not None and len(scores):
                days = len(scores) * period_seconds / SECONDS_PER_DAY
                measures = _measures(decided, label, days=days)
                if name != ORACLE:
                    measures["budget"] = budget_of(bundle, one.entity, decided.threshold)
                measured[name].append(_known(measures))
    return {name: mean_over_entities(rows) for name, rows in measured.items() if rows}


def _measures(decided: Decided, label: BoolArray | None, *, days: float) -> Measures:
    flags = decided.flags
    measures = {"threshold": decided.threshold, "flagged_points": float(flags.sum())}
    if label is not None:
        measures |= {
            "precision": precision(label, flags),
            "recall": recall(label, flags),
            "f1": f1(label, flags),
            "composite_f1": composite_f1(label, flags),
            "event_recall": event_recall(label, flags),
            "false_episodes_per_day": false_episodes(label, flags) / days,
            "median_delay_points": median_delay(label, flags),
        }
    return measures


def _known(measures: Measures) -> Measures:
    return {name: value for name, value in measures.items() if np.isfinite(value)}


def table_of(rows: Mapping[str, Measures]) -> tuple[list[str], list[list[str]]]:
    """Head and lines: one column per threshold, the oracle marked as such."""
    marked = {f"{name} (oracle)" if name == ORACLE else name: own for name, own in rows.items()}
    return table(marked, SHOWN_MEASURES)


def section_of(rows: Mapping[str, Measures]) -> str:
    """The section of a report; empty where nothing was scored."""
    if not rows:
        return ""
    return (
        f"## Thresholds\n\n{markdown(*table_of(rows))}\n\n"
        "Ways to choose a threshold, on the score of the bundle: *service* is the one that serves, "
        "from the budget. The others see scores of the calibration stretch; *spot* and *dspot* "
        "move on with the stream, their median is shown. The *budget* of a column deploys "
        "its threshold. *best-f1* is chosen on the labels "
        "themselves: a ceiling for evaluation, not a result."
    )
