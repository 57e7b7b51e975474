"""Answers: the verdict on every point that was asked about, from the rows of the log."""

from collections.abc import Sequence

import msgspec
import numpy as np

from service.errors import GaugewatchError
from service.scoring.fold import Fold
from service.stream.messages import StatusName, Verdict
from service.stream.rows import Reader, Rows
from service.stream.sift import Sifted

Answer = Verdict | GaugewatchError


def answers_of(fold: Fold, sifted: Sifted, *, new: Rows, log: Rows) -> dict[int, Answer]:
    """Verdicts of one entity's points by position: `new` rows, and older ones from the `log`."""
    reader = Reader(fold, sifted.entity)
    rows = iter(new)
    answers: dict[int, Answer] = {}
    for time, position in enumerate(sifted.positions):
        if sifted.is_new[time]:
            answers[position] = reader.verdict(next(rows))
        elif not sifted.is_usable[time]:
            answers[position] = _unscored(sifted, time, "rejected", "value_out_of_range")
        else:
            answers[position] = _repeated(reader, sifted, time, log)
    return answers


def of_request(answers: Sequence[Answer]) -> list[Verdict] | GaugewatchError:
    """The verdicts of a request, or what stopped one of them."""
    verdicts = [answer for answer in answers if isinstance(answer, Verdict)]
    if len(verdicts) == len(answers):
        return verdicts
    return next(answer for answer in answers if isinstance(answer, GaugewatchError))


def _repeated(reader: Reader, sifted: Sifted, time: int, log: Rows) -> Verdict:
    """The first answer again, if it is still kept; the first values win."""
    found = np.flatnonzero(log["timestamp_ms"] == sifted.timestamps_ms[time])
    if len(found) == 0:
        return _unscored(sifted, time, "late", "older_than_newest")
    row = log[found[0]]
    first = reader.verdict(row)
    if np.array_equal(row["values"], sifted.values[time], equal_nan=True):
        return msgspec.structs.replace(first, status="duplicate")
    return msgspec.structs.replace(first, status="conflict", reason="first_values_win")


def _unscored(sifted: Sifted, time: int, status: StatusName, reason: str) -> Verdict:
    return Verdict(
        entity=sifted.entity,
        timestamp_ms=int(sifted.timestamps_ms[time]),
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
