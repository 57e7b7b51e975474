"""What an incident says to people and machines: alerts, with their causes in words."""

import msgspec
import numpy as np
import numpy.typing as npt

from service.scoring.fold import TOP_CAUSES, Verdicts, shares_of, top_causes
from service.scoring.incident import Transition
from service.stream.messages import Alert, AlertReason, Cause
from service.stream.reader import ALERT_KINDS, Blamed, Reader, incident_id
from service.stream.rows import Rows

CAUSES_IN_WORDS = 3


def alert_of(
    reader: Reader, entity: str, verdicts: Verdicts, *, position: int, rows: Rows
) -> bytes:
    """The alert that the point at `position` of a batch causes, as JSON."""
    row = rows[position]
    transition = Transition(verdicts.transition[position])
    incident = verdicts.incident[position]
    kind, opened_ms = ALERT_KINDS[transition], int(incident["opened_ms"])
    is_last = kind == "resolved"
    if is_last:
        expected = verdicts.expected[position] - reader.center(entity)
        causes = _average_causes(reader, entity, incident, values=row["values"], expected=expected)
    else:
        causes = reader.causes([entity], rows[position : position + 1])[0]
    name = incident_id(entity, opened_ms)
    alert = Alert(
        id=f"{name}:{kind}:{int(incident['updates']) if kind == 'updated' else 0}",
        kind=kind,
        incident=name,
        entity=entity,
        opened_ms=opened_ms,
        timestamp_ms=int(row["timestamp_ms"]),
        score=_number(verdicts.score[position]),
        severity=_number(verdicts.severity[position]),
        peak_score=float(incident["peak_score"]),
        peak_severity=float(incident["peak_severity"]),
        points=int(incident["points"]),
        anomalies=int(incident["anomalies"]),
        causes=causes,
        reason=_reason(transition, is_anomaly=bool(row["is_anomaly"])),
        model=reader.title,
        summary=_summary(entity, kind, causes),
    )
    return msgspec.json.encode(alert)


def in_words(cause: Cause) -> str:
    """`page_faults 812 (expected 90 +- 15, 48 %)`."""
    if cause.value is None:
        return f"{cause.dimension} has no value"
    return (
        f"{cause.dimension} {cause.value:.4g} "
        f"(expected {cause.expected:.4g} ± {cause.band:.3g}, {cause.share:.0%})"
    )


def _summary(entity: str, kind: str, causes: list[Cause]) -> str:
    words = ", ".join(in_words(cause) for cause in causes[:CAUSES_IN_WORDS])
    return f"{entity} {kind}: {words}" if words else f"{entity} {kind}"


def _average_causes(
    reader: Reader,
    entity: str,
    incident: np.void,
    *,
    values: npt.NDArray[np.float32],
    expected: npt.NDArray[np.float64],
) -> list[Cause]:
    """Blame over the whole incident, with the values of its last point."""
    shares = shares_of(incident["blame"][None].astype(np.float32))
    leading = top_causes(shares, TOP_CAUSES)
    blamed = Blamed(
        leading,
        share=shares[0, leading],
        value=values.astype(np.float64)[leading],
        expected=expected[leading],
    )
    return reader.blame([entity], blamed)[0]


def _reason(transition: Transition, *, is_anomaly: bool) -> AlertReason:
    if transition == Transition.RESOLVED:
        return "quiet"
    if transition == Transition.NEW_NORMAL:
        return "new_normal"
    return "anomaly" if is_anomaly else "lost_dimension"


def _number(value: np.float64) -> float | None:
    return None if np.isnan(value) else float(value)
