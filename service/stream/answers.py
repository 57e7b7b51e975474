"""Answers: the verdict on every point that was asked about, from the rows of the log."""

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from service.errors import GaugewatchError
from service.stream.messages import StatusName, Verdict
from service.stream.reader import Reader
from service.stream.rows import Rows
from service.stream.sift import Sifted

Answer = Verdict | GaugewatchError


def answers_of(
    reader: Reader, sifted: Sifted, rows: Rows, *, logs: Mapping[str, Rows]
) -> dict[int, Answer]:
    """Verdicts by position: of the new points from their `rows`, of older ones from the logs."""
    new = sifted.is_new
    entities = [sifted.entities[owner] for owner in sifted.owners[new].tolist()]
    verdicts = reader.verdicts(entities, rows)
    answers: dict[int, Answer] = dict(zip(sifted.positions[new].tolist(), verdicts, strict=True))
    for point in np.flatnonzero(~new).tolist():
        position = int(sifted.positions[point])
        if sifted.is_usable[point]:
            answers[position] = _repeated(reader, sifted, point, log=logs[sifted.entity(point)])
        else:
            answers[position] = _unscored(sifted, point, "rejected", "value_out_of_range")
    return answers


def of_request(answers: Sequence[Answer]) -> list[Verdict] | GaugewatchError:
    """The verdicts of a request, or what stopped one of them."""
    verdicts = [answer for answer in answers if isinstance(answer, Verdict)]
    if len(verdicts) == len(answers):
        return verdicts
    return next(answer for answer in answers if isinstance(answer, GaugewatchError))


def _repeated(reader: Reader, sifted: Sifted, point: int, *, log: Rows) -> Verdict:
    """The first answer again, if it is still kept; the first values win."""
    found = np.flatnonzero(log["timestamp_ms"] == sifted.timestamps_ms[point])
    if len(found) == 0:
        return _unscored(sifted, point, "late", "older_than_newest")
    row = log[found[:1]]
    first = reader.verdicts([sifted.entity(point)], row)[0]
    if np.array_equal(row["values"][0], sifted.values[point], equal_nan=True):
        return msgspec.structs.replace(first, status="duplicate")
    return msgspec.structs.replace(first, status="conflict", reason="first_values_win")


def _unscored(sifted: Sifted, point: int, status: StatusName, reason: str) -> Verdict:
    return Verdict(
        entity=sifted.entity(point),
        timestamp_ms=int(sifted.timestamps_ms[point]),
        status=status,
        score=None,
        severity=None,
        is_anomaly=False,
        p_value=None,
        contributions=[],
        incident=None,
        model=None,
        reason=reason,
    )
