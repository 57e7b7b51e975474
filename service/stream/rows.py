"""The rows of the log: one point with its verdict, packed. An answer is read from its row.

Because the first answer and the answer to a repeated point are both made from the row, they are
equal bit for bit.
"""

from dataclasses import fields

import numpy as np
import numpy.typing as npt

from service.scoring.fold import TOP_CAUSES, Decided, Fold, Points, Verdicts, top_causes

Rows = npt.NDArray[np.void]


def row_dtype(fold: Fold) -> np.dtype[np.void]:
    """One row; the timestamp comes first in every layout."""
    causes = min(TOP_CAUSES, fold.dimensions)
    cause = np.dtype([("dimension", "<u2"), ("share", "<f4"), ("expected", "<f4")])
    return np.dtype(
        [
            ("timestamp_ms", "<i8"),
            ("version", "S12"),  # of the bundle that scored it
            ("surprisal", "<f8"),
            ("score", "<f8"),
            ("severity", "<f8"),
            ("opened_ms", "<i8"),  # of the incident this point belongs to; 0: none
            ("have", "<u4"),
            ("status", "u1"),
            ("is_anomaly", "?"),
            ("is_flagged", "?"),
            ("transition", "u1"),
            ("holds", "?"),
            ("is_public", "?"),  # people are told of the incident, or of one that opened here
            ("causes", cause, (causes,)),
            ("values", "<f4", (fold.dimensions,)),  # minus the centre of the entity
        ]
    )


def pack(rows: Rows, points: Points, verdicts: Verdicts, *, fold: Fold) -> None:
    """Write a batch into `rows` (batch,), as scored by `fold`."""
    bundle = fold.bundle
    rows["timestamp_ms"] = points.timestamps_ms
    rows["version"] = bundle.manifest.version
    rows["values"] = points.values
    for name in ("surprisal", "score", "severity", "status", "is_anomaly", "is_flagged", "holds"):
        rows[name] = getattr(verdicts, name)
    rows["have"] = np.minimum(verdicts.have, np.iinfo(np.uint32).max)
    rows["transition"] = verdicts.transition
    in_incident = verdicts.incident["is_open"] | (verdicts.transition > 0)
    rows["opened_ms"] = np.where(in_incident, verdicts.incident["opened_ms"], 0)
    rows["is_public"] = np.where(in_incident, verdicts.incident["is_public"], verdicts.is_public)
    shares = verdicts.shares
    leading = top_causes(shares, rows["causes"].shape[1])
    rows["causes"]["dimension"] = leading
    each = np.arange(len(rows))[:, None]
    rows["causes"]["share"] = shares[each, leading]
    center = bundle.calibration.center[points.entity_index]
    expected = (verdicts.expected - center).astype(np.float32)
    rows["causes"]["expected"] = expected[each, leading]


def written(rows: Rows) -> Rows:
    """Rows that were written; a ring that lost its head is filled with zeros."""
    return rows[rows["have"] > 0]


def decided(rows: Rows) -> Decided:
    """What is not decided again when these rows are replayed."""
    return Decided(**{field.name: rows[field.name] for field in fields(Decided)})
