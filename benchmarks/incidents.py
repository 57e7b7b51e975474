"""Incidents of labelled series read back: what they span, whom they blame, and three to show."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

import msgspec
import numpy as np
import numpy.typing as npt

from service.scoring.bundle import Bundle
from service.scoring.fold import Fold, Points, shares_of
from service.scoring.offline import Scored, Told
from service.scoring.series import Segment, Series
from service.stream.explain import alert_of
from service.stream.messages import Alert
from service.stream.reader import Reader
from service.stream.rows import pack, row_dtype
from trainer.measures.events import FloatArray

FAR_POINTS = 60  # from a label: what is nearer may be an early or a late find


@dataclass(frozen=True, eq=False)
class Incident:
    """One incident of a scored series, from its opening to its last flagged point."""

    bundle: Bundle
    series: Series
    scored: Scored
    told: tuple[Told, ...]  # its transitions, the opening first

    @property
    def first(self) -> int:
        """The row that opened it."""
        return self.told[0].row

    @cached_property
    def last(self) -> int:
        """The last row that was flagged; what follows until it resolves is quiet."""
        rows = np.arange(self.first, self.told[-1].row + 1)
        return int(rows[self.scored.is_anomaly[rows]].max(initial=self.first))

    @property
    def peak(self) -> int:
        """The row with the highest score."""
        return self.first + int(self.scored.score[self.first : self.last + 1].argmax())

    @property
    def peak_score(self) -> float:
        """The highest score of a flagged point."""
        return float(self.told[-1].incident["peak_score"])

    @property
    def peak_severity(self) -> float:
        """The highest severity of a flagged point."""
        return float(self.told[-1].incident["peak_severity"])

    @property
    def is_labelled(self) -> bool:
        """Whether it touches a labelled point."""
        return self._touches_label(margin=0)

    @property
    def is_far_from_labels(self) -> bool:
        """Whether no labelled point is near it either: a false alarm beyond doubt."""
        return not self._touches_label(margin=FAR_POINTS)

    @property
    def segments(self) -> tuple[Segment, ...]:
        """The labelled segments that it touches."""
        segments = self.series.segments
        return tuple(one for one in segments if one.start <= self.last and one.end >= self.first)

    @property
    def culprits(self) -> frozenset[int]:
        """The labelled culprits of these."""
        return frozenset(dimension for one in self.segments for dimension in one.dimensions)

    @property
    def shares(self) -> FloatArray:
        """Share of each dimension in the whole incident, as its `resolved` alert has it."""
        blame = self.told[-1].incident["blame"].astype(np.float32)
        return np.asarray(shares_of(blame[None])[0])

    @property
    def first_cause(self) -> int:
        """The dimension that the `opened` alert names first."""
        return int(self.scored.contribution[self.first].argmax())

    @property
    def is_first_cause_culprit(self) -> bool:
        """Whether that dimension is a labelled culprit."""
        return self.first_cause in self.culprits

    @property
    def chance(self) -> float:
        """Of a dimension drawn at random to be a labelled culprit."""
        return len(self.culprits) / len(self.series.dimensions)

    @property
    def is_first_cause_outside_band(self) -> bool:
        """Whether it is further from its expected value than the band."""
        place = self.first, self.first_cause
        distance = abs(self.series.values[place] - self.scored.expected[place])
        return bool(distance > self.band[self.first_cause])

    @property
    def band(self) -> FloatArray:
        """(dimension,) of the entity."""
        at = self.bundle.entity_indices[self.series.entity]
        return np.asarray(self.bundle.calibration.band[at])

    def _touches_label(self, *, margin: int) -> bool:
        label, start = self.series.label, max(self.first - margin, 0)
        return label is not None and bool(label[start : self.last + margin + 1].any())


def incidents_of(bundle: Bundle, series: Series, scored: Scored) -> list[Incident]:
    """All incidents of a series, in order of time."""
    by_incident = groupby(scored.told, key=lambda told: int(told.incident["opened_ms"]))
    return [Incident(bundle, series, scored, tuple(told)) for _, told in by_incident]


def chosen(incidents: Sequence[Incident]) -> list[Incident]:
    """Three of them by rule: the most severe, a typical find, the worst false alarm.

    The find is the one with the median peak score (the lower of two) among the others that touch
    a labelled segment and named a culprit first; a false alarm is far from every label.
    """
    worst = max(incidents, key=lambda one: one.peak_severity)
    finds = [one for one in incidents if one.is_first_cause_culprit and one is not worst]
    finds.sort(key=lambda one: one.peak_score)
    false = [one for one in incidents if one.is_far_from_labels]
    return [worst, finds[(len(finds) - 1) // 2], max(false, key=lambda one: one.peak_score)]


def opening_alert(fold: Fold, incident: Incident) -> Alert:
    """The alert that the service would have sent first."""
    series, index = incident.series, np.array([fold.bundle.entity_indices[incident.series.entity]])
    states = fold.fresh(index)
    for row in range(incident.first):
        states, _ = fold.step(states, _point(fold, series, row, index=index))
    opening = _point(fold, series, incident.first, index=index)
    _, verdicts = fold.step(states, opening)
    rows = np.zeros(1, row_dtype(fold))
    pack(rows, opening, verdicts, fold=fold)
    alert = alert_of(Reader(fold), series.entity, verdicts, position=0, rows=rows)
    return msgspec.json.decode(alert, type=Alert)


def _point(fold: Fold, series: Series, row: int, *, index: npt.NDArray[np.int64]) -> Points:
    values = fold.centre(series.values[row : row + 1], index)
    return Points(index, series.timestamps_ms[row : row + 1], values)
