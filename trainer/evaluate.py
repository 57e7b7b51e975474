"""Evaluation: what a row of a table answered on labelled series, measured the same for every row.

Points without a score (NaN: warming up) are cut out as though the series did not have them: labels,
scores and flags are joined over the cut, a segment without any scored point does not count, and a
delay counts scored points only. `evaluate` cuts what a bundle did not score out of every row; in
the benchmark each row is measured on the points it scored (of the default all but the first 4).
For attribution the contributions of a labelled segment are averaged over its scored points, whether
the segment was detected or not; segments without known culprits do not count. Every entity is
measured alone, and entities are then averaged: each counts once.

Each answer is measured by what it is for: severity ranks, flags decide, contributions name
culprits. The score opens incidents, so the measures of events at an oracle's threshold are taken on
it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from service.scoring.offline import Scored
from service.scoring.series import Segment, Series
from service.scoring.tail import SECONDS_PER_DAY
from trainer.datasets import Halves
from trainer.floors import Answers, floors
from trainer.measures.attribution import hit_rate, ndcg, rc_top
from trainer.measures.decisions import (
    composite_f1,
    delay_quantile,
    event_recall,
    false_episodes,
    false_share,
    median_delay,
    recall_within,
)
from trainer.measures.events import BoolArray, FloatArray
from trainer.measures.point_adjusted import point_adjusted_f1
from trainer.measures.ranking import average_precision, oracle_composite_f1, oracle_f1, vus_pr

RC_TOP = 3
WITHIN = 5  # points late, and still in time

Measures = dict[str, float]


def measure(
    series: Series,
    answers: Answers,
    *,
    period_seconds: float,
    is_scored: BoolArray | None = None,
    vus_width: int | None = None,
    nominal_share: float | None = None,
) -> Measures:
    """Every measure that is defined for these answers; none without labels.

    `is_scored` (time,) says which points count, those with a score if not given. `vus_width` is
    the buffer of `vus_pr_file`, a width chosen for this series; `nominal_share` the share of points
    the threshold was meant to flag (`service.scoring.tail.flagged_share`).
    """
    if series.label is None:
        return {}
    kept = np.isfinite(answers.score) if is_scored is None else is_scored
    label = series.label[kept]
    measures = _ranking(label, answers.ranking[kept], vus_width=vus_width)
    measures |= {
        "oracle_composite_f1": oracle_composite_f1(label, answers.score[kept]),
        "point_adjusted_f1": point_adjusted_f1(label, answers.score[kept]),
    }
    if answers.is_anomaly is not None:
        flags = answers.is_anomaly[kept]
        measures |= _decisions(label, flags, period_seconds=period_seconds)
        if nominal_share is not None:
            measures["flagged_over_nominal"] = false_share(label, flags) / nominal_share
    measures |= _attribution(series.segments, answers.contribution, kept)
    return {name: value for name, value in measures.items() if np.isfinite(value)}


def _ranking(label: BoolArray, ranking: FloatArray, *, vus_width: int | None) -> Measures:
    measures = {
        "average_precision": average_precision(label, ranking),
        "vus_pr": vus_pr(label, ranking),
        "oracle_f1": oracle_f1(label, ranking),
    }
    if vus_width is not None:
        measures["vus_pr_file"] = vus_pr(label, ranking, width=vus_width)
    return measures


def _decisions(label: BoolArray, flags: BoolArray, *, period_seconds: float) -> Measures:
    days = len(label) * period_seconds / SECONDS_PER_DAY
    return {
        "composite_f1": composite_f1(label, flags),
        "event_recall": event_recall(label, flags),
        f"event_recall_within_{WITHIN}": recall_within(label, flags, points=WITHIN),
        "false_episodes_per_day": false_episodes(label, flags) / days if days else float("nan"),
        "median_delay_points": median_delay(label, flags),
        "p90_delay_points": delay_quantile(label, flags, quantile=0.9),
    }


def _attribution(
    segments: Sequence[Segment], contribution: FloatArray | None, kept: BoolArray
) -> Measures:
    if contribution is None:
        return {}
    known = []
    for segment in segments:
        rows = contribution[segment.start : segment.end + 1][kept[segment.start : segment.end + 1]]
        if segment.dimensions and len(rows):
            known.append((rows.mean(axis=0), segment.dimensions))
    if not known:
        return {}
    columns = {
        "hit_rate_100": [hit_rate(mean, culprits, percent=100) for mean, culprits in known],
        "hit_rate_150": [hit_rate(mean, culprits, percent=150) for mean, culprits in known],
        f"rc_top_{RC_TOP}": [rc_top(mean, culprits, count=RC_TOP) for mean, culprits in known],
        "ndcg_100": [ndcg(mean, culprits) for mean, culprits in known],
    }
    return {name: float(np.mean(values)) for name, values in columns.items()}


def mean_over_entities(measures: Sequence[Measures]) -> Measures:
    """Mean of each measure over the entities for which it is defined."""
    names = dict.fromkeys(chain.from_iterable(measures))
    return {name: float(np.mean([m[name] for m in measures if name in m])) for name in names}


# ---- a bundle on its data


@dataclass(frozen=True)
class Evaluation:
    """What a bundle answered on series, and its measures beside those of the floors."""

    series: tuple[Series, ...]
    scored: tuple[Scored, ...]
    entities: tuple[dict[str, Measures], ...]  # per series: row -> measures; empty: no labels

    @property
    def rows(self) -> dict[str, Measures]:
        """Row -> measures, mean over entities; a row nobody could measure is left out."""
        names = dict.fromkeys(chain.from_iterable(self.entities))
        means = {
            name: mean_over_entities([e[name] for e in self.entities if name in e])
            for name in names
        }
        return {name: measures for name, measures in means.items() if measures}


def evaluate(
    halves: Halves,
    scored: Sequence[Scored],
    *,
    period_seconds: float,
    untrained: Sequence[Scored] | None = None,
) -> Evaluation:
    """Measure the scored test half of every entity beside its floors.

    Rows: `bundle`; `score`, the ranking its score alone would give; `untrained`, a bundle with the
    same views around a network that never learned; and the floors, where a training half is known.
    """
    trained_on = {one.entity: one for one in halves.train}
    entities = []
    for position, (one, own) in enumerate(zip(halves.test, scored, strict=True)):
        rows = {"bundle": _answers(own), "score": Answers(own.score, None)}
        if untrained is not None:
            rows["untrained"] = _answers(untrained[position])
        if one.entity in trained_on:
            rows |= floors(trained_on[one.entity], one)
        is_scored = np.isfinite(own.score)
        if untrained is not None:
            is_scored &= np.isfinite(untrained[position].score)
        entities.append(
            {
                name: measure(one, row, period_seconds=period_seconds, is_scored=is_scored)
                for name, row in rows.items()
            }
        )
    return Evaluation(tuple(halves.test), tuple(scored), tuple(entities))


def _answers(scored: Scored) -> Answers:
    contribution = scored.contribution.astype(np.float64)
    return Answers(scored.score, contribution, scored.is_anomaly, scored.severity)
