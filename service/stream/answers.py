"""Answers: the verdict on every point that was asked about, from the rows of the log."""

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from service.errors import GaugewatchError
from service.stream.commit import Outcome
from service.stream.messages import StatusName, Verdict
from service.stream.reader import Reader
from service.stream.rows import Rows
from service.stream.sift import UNASKED, Sifted
from service.stream.waiting import Fate

Answer = Verdict | GaugewatchError


def answers_of(
    reader: Reader,
    sifted: Sifted,
    rows: Rows,
    *,
    logs: Mapping[str, Rows],
    refused: Mapping[str, Outcome],
) -> dict[int, Answer]:
    """Verdicts by position: of the new points from their `rows`, of older ones from the logs.

    Entities whose commit was refused because somebody else went on get none.
    """
    positions, is_new = sifted.line.positions, sifted.is_new
    verdicts = reader.verdicts(_owners(sifted), rows)
    answers: dict[int, Answer] = dict(zip(positions[is_new].tolist(), verdicts, strict=True))
    for point in np.flatnonzero(~is_new & (positions != UNASKED)).tolist():
        if sifted.entity(point) not in refused:
            answers[int(positions[point])] = _not_new(reader, sifted, point, logs)
    for point in range(len(positions)) if refused else ():
        outcome, position = refused.get(sifted.entity(point)), int(positions[point])
        if outcome is Outcome.FULL:
            answers[position] = _unscored(sifted, point, "rejected", "too_many_entities")
        elif outcome is not None:
            answers.pop(position, None)
    answers.pop(UNASKED, None)
    return answers


def released_of(
    reader: Reader, sifted: Sifted, rows: Rows, *, refused: Mapping[str, Outcome]
) -> list[Verdict]:
    """Verdicts on the points that had waited and were scored now; nobody asked for them."""
    is_released = sifted.line.positions[sifted.is_new] == UNASKED
    if not is_released.any():
        return []
    entities = np.array(_owners(sifted), object)[is_released].tolist()
    verdicts = reader.verdicts(entities, rows[is_released])
    return [verdict for verdict in verdicts if verdict.entity not in refused]


def of_request(answers: Sequence[Answer]) -> list[Verdict] | GaugewatchError:
    """The verdicts of a request, or what stopped one of them."""
    verdicts = [answer for answer in answers if isinstance(answer, Verdict)]
    if len(verdicts) == len(answers):
        return verdicts
    return next(answer for answer in answers if isinstance(answer, GaugewatchError))


def _owners(sifted: Sifted) -> list[str]:
    """Entities of the new points."""
    return [sifted.entities[owner] for owner in sifted.line.owners[sifted.is_new].tolist()]


def _not_new(reader: Reader, sifted: Sifted, point: int, logs: Mapping[str, Rows]) -> Verdict:
    fate = sifted.fate[point]
    if fate == Fate.PAST:
        return _repeated(reader, sifted, point, log=logs[sifted.entity(point)])
    if fate in (Fate.WAITS, Fate.WAITS_ALREADY):
        return _unscored(sifted, point, "held", "earlier_may_come")
    if fate == Fate.CONFLICTS:
        return _unscored(sifted, point, "conflict", "first_values_win")
    return _unscored(sifted, point, "rejected", "value_out_of_range")


def _repeated(reader: Reader, sifted: Sifted, point: int, *, log: Rows) -> Verdict:
    """The first answer again, if it is still kept; the first values win."""
    found = np.flatnonzero(log["timestamp_ms"] == sifted.line.timestamps_ms[point])
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
        timestamp_ms=int(sifted.line.timestamps_ms[point]),
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
