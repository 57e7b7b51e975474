"""The answer of a batch: what was found in a series, as JSON, made piece by piece.

The numbers are those of `gaugewatch score`, null where a point was not scored.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np

from service.scoring import decisions
from service.scoring.bundle import Bundle
from service.scoring.fold import TOP_CAUSES, shares_of, top_causes
from service.scoring.incident import Transition
from service.scoring.offline import Scored, Told
from service.scoring.pieces import Past, told_before
from service.scoring.series import Series
from service.stream.messages import Cause
from service.web.detect_messages import (
    Blame,
    Contributions,
    DetectedIncident,
    DetectedRow,
    Ending,
    Measures,
    Summary,
)

ROWS_AT_ONCE: Final = 200  # so that no piece takes long to make


@dataclass(frozen=True)
class Detected:
    """A series with what was found in it."""

    bundle: Bundle
    series: Series
    scored: Scored
    threshold_p: float
    past: Past

    @property
    def entity_index(self) -> int:
        """Row of the calibration."""
        return self.bundle.entity_indices.get(self.series.entity, 0)


def as_json(
    detected: Detected,
    *,
    budget: float | None,
    percentile: float | None,
    contributions: Contributions,
) -> Iterator[bytes]:
    """The document but its end, in pieces."""
    series, scored = detected.series, detected.scored
    summary = Summary(
        entity=series.entity or None,
        model=detected.bundle.title,
        dimensions=series.dimensions,
        offset=detected.past.points,
        points=len(scored.score),
        scored=int(np.isfinite(scored.score).sum()),
        anomalies=int(scored.is_anomaly.sum()),
        budget=budget,
        percentile=percentile,
        threshold_p=detected.threshold_p,
        incidents=incidents_of(detected),
        measures=measures_of(detected),
    )
    yield msgspec.json.encode(summary)[:-1] + b',"rows":['
    before = b""
    for start in range(0, len(scored.score), ROWS_AT_ONCE):
        rows = rows_of(detected, start=start, contributions=contributions)
        yield before + msgspec.json.encode(rows)[1:-1]
        before = b","


def end_of_json(state: str | None) -> bytes:
    """The rest of the document: the state for the next piece, if there is one."""
    return b"]}" if state is None else b'],"state":' + msgspec.json.encode(state) + b"}"


def rows_of(detected: Detected, *, start: int, contributions: Contributions) -> list[DetectedRow]:
    """The next rows with their causes."""
    at = slice(start, start + ROWS_AT_ONCE)
    scored = detected.scored
    columns = (
        detected.series.timestamps_ms[at].tolist(),
        scored.status[at].tolist(),
        scored.score[at].tolist(),
        scored.severity[at].tolist(),
        scored.p_value[at].tolist(),
        scored.is_anomaly[at].tolist(),
        _causes(detected, at, contributions),
    )
    return list(map(DetectedRow, *columns))


def _causes(detected: Detected, at: slice, contributions: Contributions) -> list[list[Cause]]:
    scored, names = detected.scored, detected.series.dimensions
    shares = shares_of(scored.contribution[at])  # (row, dimension)
    is_all = contributions == "all"
    leading = top_causes(shares, len(names) if is_all else TOP_CAUSES)  # (row, cause)
    value = np.take_along_axis(detected.series.values[at], leading, axis=1)
    expected = np.take_along_axis(scored.expected[at].astype(np.float64), leading, axis=1)
    numbers = (
        np.take_along_axis(shares, leading, axis=1),
        value,
        expected,
        detected.bundle.calibration.band[detected.entity_index][leading],
        value - expected,
    )
    counts = (numbers[0] > 0).sum(axis=1)
    if is_all:
        counts = np.where(np.isfinite(scored.score[at]), len(names), 0)
    elif contributions == "anomalies":
        counts = np.where(scored.is_anomaly[at], counts, 0)
    lists = (leading.tolist(), *(number.tolist() for number in numbers))
    return [
        [Cause(names[d], *cells) for d, *cells in list(zip(*row, strict=True))[:count]]
        for count, *row in zip(counts.tolist(), *lists, strict=True)
    ]


def incidents_of(detected: Detected) -> list[DetectedIncident]:
    """Every incident as it was last told; one that was open before is the first."""
    before = told_before(detected.past)
    every = [*([] if before is None else [before]), *detected.scored.told]
    last = {int(told.incident["opened_ms"]): told for told in every}
    opened = {
        int(told.incident["opened_ms"]): detected.past.points + told.row
        for told in every
        if told.transition == Transition.OPENED
    }
    return [_incident(detected, told, row=opened[at]) for at, told in last.items()]


def _incident(detected: Detected, told: Told, *, row: int) -> DetectedIncident:
    incident, names = told.incident, detected.series.dimensions
    shares = shares_of(incident["blame"][None].astype(np.float32))
    is_over = told.transition >= Transition.RESOLVED
    ending: Ending = "resolved" if told.transition == Transition.RESOLVED else "new_normal"
    return DetectedIncident(
        row=row,
        opened_ms=int(incident["opened_ms"]),
        ended_ms=int(detected.series.timestamps_ms[told.row]) if is_over else None,
        ending=ending if is_over else None,
        points=int(incident["points"]),
        anomalies=int(incident["anomalies"]),
        peak_score=float(incident["peak_score"]),
        peak_severity=float(incident["peak_severity"]),
        causes=[
            Blame(names[d], float(shares[0, d])) for d in top_causes(shares)[0] if shares[0, d] > 0
        ],
    )


def measures_of(detected: Detected) -> Measures | None:
    """Of a series that came with labels; a point that was not scored is not marked."""
    label, flags = detected.series.label, detected.scored.is_anomaly
    if label is None:
        return None
    return Measures(
        precision=decisions.precision(label, flags),
        recall=decisions.recall(label, flags),
        f1=decisions.f1(label, flags),
        composite_f1=decisions.composite_f1(label, flags),
        events=len(decisions.runs(label)),
        events_found=len(decisions.delays(label, flags)),
        false_incidents=decisions.false_episodes(label, flags),
        median_delay_points=decisions.median_delay(label, flags),
    )
