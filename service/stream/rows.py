"""The rows of the log: one point with its verdict, packed. An answer is read from its row.

Because the first answer and the answer to a repeated point are both made from the row, they are
equal bit for bit.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from msgspec import UNSET

from service.scoring.fold import TOP_CAUSES, Fold, Points, Status, Verdicts, top_causes
from service.scoring.incident import Transition
from service.scoring.tail import p_value
from service.stream.messages import AlertKind, Cause, Row, StatusName, Verdict

Rows = npt.NDArray[np.void]

ALERT_KINDS: dict[int, AlertKind] = {
    Transition.OPENED: "opened",
    Transition.UPDATED: "updated",
    Transition.RESOLVED: "resolved",
    Transition.NEW_NORMAL: "resolved",
}
STATUS_NAMES: dict[int, StatusName] = {
    Status.WARMING: "warming",
    Status.CALIBRATING: "calibrating",
    Status.SCORED: "scored",
}


def row_dtype(fold: Fold) -> np.dtype[np.void]:
    """One row; the timestamp comes first in every layout."""
    causes = min(TOP_CAUSES, fold.dimensions)
    cause = np.dtype([("dimension", "<u2"), ("share", "<f4"), ("expected", "<f4")])
    return np.dtype(
        [
            ("timestamp_ms", "<i8"),
            ("surprisal", "<f8"),
            ("score", "<f8"),
            ("severity", "<f8"),
            ("opened_ms", "<i8"),  # of the incident this point belongs to; 0: none
            ("have", "<u4"),
            ("status", "u1"),
            ("is_anomaly", "?"),
            ("is_flagged", "?"),
            ("transition", "u1"),
            ("causes", cause, (causes,)),
            ("values", "<f4", (fold.dimensions,)),  # minus the centre of the entity
        ]
    )


def pack(
    rows: Rows, points: Points, verdicts: Verdicts, *, center: npt.NDArray[np.float64]
) -> None:
    """Write a batch into `rows` (batch,). `center` is (batch, dimension)."""
    rows["timestamp_ms"] = points.timestamps_ms
    rows["values"] = points.values
    for name in ("surprisal", "score", "severity", "status", "is_anomaly", "is_flagged"):
        rows[name] = getattr(verdicts, name)
    rows["have"] = np.minimum(verdicts.have, np.iinfo(np.uint32).max)
    rows["transition"] = verdicts.transition
    in_incident = verdicts.incident["is_open"] | (verdicts.transition != Transition.NONE)
    rows["opened_ms"] = np.where(in_incident, verdicts.incident["opened_ms"], 0)
    shares = verdicts.shares
    leading = top_causes(shares, rows["causes"].shape[1])
    rows["causes"]["dimension"] = leading
    rows["causes"]["share"] = np.take_along_axis(shares, leading, axis=1)
    expected = (verdicts.expected - center).astype(np.float32)
    rows["causes"]["expected"] = np.take_along_axis(expected, leading, axis=1)


def incident_id(entity: str, opened_ms: int) -> str:
    """Name of an incident, equal whenever the same points are scored again."""
    return f"{entity}@{opened_ms}"


class Reader:
    """Reads the rows of one entity back as answers."""

    def __init__(self, fold: Fold, entity: str) -> None:
        manifest, calibration = fold.bundle.manifest, fold.bundle.calibration
        index = fold.bundle.entity_indices.get(entity, 0)
        self._entity = entity
        self._dimensions = manifest.dimensions
        self.center = calibration.center[index]
        self._centers = self.center.tolist()
        self._band = calibration.band[index].tolist()
        self._title = fold.bundle.title
        self._need = fold.need

    def verdict(self, row: np.void) -> Verdict:
        """The answer to the point of this row."""
        status = STATUS_NAMES[int(row["status"])]
        surprisal = _number(row["surprisal"])
        opened_ms, transition = int(row["opened_ms"]), int(row["transition"])
        is_warming = status == "warming"
        return Verdict(
            entity=self._entity,
            timestamp_ms=int(row["timestamp_ms"]),
            status=status,
            score=_number(row["score"]),
            severity=_number(row["severity"]),
            is_anomaly=bool(row["is_anomaly"]),
            p_value=None if surprisal is None else p_value(surprisal),
            contributions=self.causes(row),
            incident=incident_id(self._entity, opened_ms) if opened_ms else None,
            model=self._title,
            transition=ALERT_KINDS.get(transition, UNSET),
            have=int(row["have"]) if is_warming else UNSET,
            need=self._need if is_warming else UNSET,
            missing=self._missing(row) or UNSET,
        )

    def kept(self, row: np.void) -> Row:
        """The point of this row for a look at the window."""
        return Row(
            timestamp_ms=int(row["timestamp_ms"]),
            status=STATUS_NAMES[int(row["status"])],
            score=_number(row["score"]),
            severity=_number(row["severity"]),
            is_anomaly=bool(row["is_anomaly"]),
            values=[
                None if math.isnan(value) else _shown(center, value)
                for center, value in zip(self._centers, row["values"].tolist(), strict=True)
            ],
            causes=self.causes(row),
        )

    def causes(self, row: np.void) -> list[Cause]:
        """The dimensions with a share, largest first."""
        values = row["values"]
        return [
            self.cause(dimension, share=share, value=float(values[dimension]), expected=expected)
            for dimension, share, expected in row["causes"].tolist()
            if share > 0
        ]

    def cause(self, dimension: int, *, share: float, value: float, expected: float) -> Cause:
        """One cause; `value` and `expected` are minus the centre."""
        center = self._centers[dimension]
        has_value = not math.isnan(value)
        return Cause(
            dimension=self._dimensions[dimension],
            share=_digits(share),
            value=_shown(center, value) if has_value else None,
            expected=_shown(center, expected),
            band=_digits(self._band[dimension]),
            deviation=_digits(value - expected) if has_value else None,
        )

    def _missing(self, row: np.void) -> list[str]:
        return [self._dimensions[d] for d in np.flatnonzero(np.isnan(row["values"]))]


def _number(value: Any) -> float | None:
    number = float(value)
    return None if math.isnan(number) else number


def _digits(value: float) -> float:
    """The digits a float32 holds."""
    return float(f"{value:.7g}")


def _shown(center: float, delta: float) -> float:
    """centre + delta with the digits a float32 delta holds, so that 12.3 is not 12.300000191."""
    if delta == 0.0:
        return center
    return round(center + delta, 6 - math.floor(math.log10(abs(delta))))
