"""Reads rows of the log back as answers, many at once."""

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from msgspec import UNSET

from service.scoring.fold import Fold, Status
from service.scoring.incident import Transition
from service.scoring.tail import p_value
from service.stream.digits import rounded
from service.stream.messages import AlertKind, Cause, Row, StatusName, Verdict
from service.stream.rows import Rows

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


class _Told(NamedTuple):
    """What a row says in plain numbers; the names are those of the row."""

    timestamp_ms: int
    version: bytes
    surprisal: float
    score: float
    severity: float
    opened_ms: int
    have: int
    status: int
    is_anomaly: bool
    transition: int
    is_public: bool


class Blamed(NamedTuple):
    """Dimensions to blame, largest share first; all are (batch, cause)."""

    dimension: npt.NDArray[np.int64]
    share: npt.NDArray[np.float64]
    value: npt.NDArray[np.float64]  # minus the centre, NaN = missing
    expected: npt.NDArray[np.float64]  # minus the centre


class Reader:
    """Reads the rows of one bundle."""

    def __init__(self, fold: Fold) -> None:
        calibration = fold.bundle.calibration
        self.title = fold.bundle.title
        self._version = fold.bundle.manifest.version
        self._center, self._band = calibration.center, calibration.band
        self._indices = fold.bundle.entity_indices
        self._dimensions = fold.bundle.manifest.dimensions
        self._need = fold.need

    def verdicts(self, entities: Sequence[str], rows: Rows) -> list[Verdict]:
        """The answers to the points of these rows (batch,), each of the entity named."""
        columns = (entities, _told(rows), self.causes(entities, rows), self._missing(rows))
        return [self._verdict(*column) for column in zip(*columns, strict=True)]

    def kept(self, entity: str, rows: Rows) -> list[Row]:
        """The points of these rows of one entity, for a look at its window."""
        entities = [entity] * len(rows)
        values = rows["values"].astype(np.float64)
        shown = rounded(values + self._center[self._index(entities)], like=values)
        columns = (_told(rows), _or_none(shown), self.causes(entities, rows))
        return [
            Row(
                timestamp_ms=told.timestamp_ms,
                status=STATUS_NAMES[told.status],
                score=_number(told.score),
                severity=_number(told.severity),
                is_anomaly=told.is_anomaly,
                values=values,
                causes=causes,
            )
            for told, values, causes in zip(*columns, strict=True)
        ]

    def causes(self, entities: Sequence[str], rows: Rows) -> list[list[Cause]]:
        """The dimensions with a share of each row, largest first."""
        dimension = rows["causes"]["dimension"].astype(np.int64)
        value = rows["values"][np.arange(len(rows))[:, None], dimension]
        numbers = (rows["causes"]["share"], value, rows["causes"]["expected"])
        return self.blame(entities, Blamed(dimension, *(each.astype(float) for each in numbers)))

    def blame(self, entities: Sequence[str], blamed: Blamed) -> list[list[Cause]]:
        """The same from numbers that lie in no row."""
        at = self._index(entities)[:, None], blamed.dimension
        center, band = self._center[at], self._band[at]
        deviation = blamed.value - blamed.expected
        exact = (blamed.share, center + blamed.value, center + blamed.expected, band, deviation)
        like = np.array([blamed.share, blamed.value, blamed.expected, band, deviation])
        shown = rounded(np.array(exact), like=like).reshape(len(exact), -1)
        names = [self._dimensions[dimension] for dimension in blamed.dimension.ravel().tolist()]
        causes = list(map(Cause, names, *_or_none(shown)))
        counts = (blamed.share > 0).sum(axis=1).tolist()
        width = blamed.share.shape[1]
        return [causes[row * width : row * width + count] for row, count in enumerate(counts)]

    def center(self, entity: str) -> npt.NDArray[np.float64]:
        """(dimension,) what was subtracted from its values."""
        center: npt.NDArray[np.float64] = self._center[self._indices.get(entity, 0)]
        return center

    def _verdict(
        self, entity: str, told: _Told, causes: list[Cause], missing: list[str]
    ) -> Verdict:
        is_warming = told.status == Status.WARMING
        surprisal = _number(told.surprisal)
        is_told = bool(told.opened_ms and told.is_public)
        return Verdict(
            entity=entity,
            timestamp_ms=told.timestamp_ms,
            status=STATUS_NAMES[told.status],
            score=_number(told.score),
            severity=_number(told.severity),
            is_anomaly=told.is_anomaly,
            p_value=None if surprisal is None else p_value(surprisal),
            contributions=causes,
            incident=incident_id(entity, told.opened_ms) if is_told else None,
            model=self._scored_by(told.version.decode()),
            transition=ALERT_KINDS.get(told.transition, UNSET) if is_told else UNSET,
            have=told.have if is_warming else UNSET,
            need=self._need if is_warming else UNSET,
            missing=missing or UNSET,
        )

    def _scored_by(self, version: str) -> str:
        """A row taken over from another bundle names the version of that one."""
        return self.title if version == self._version else version

    def _index(self, entities: Sequence[str]) -> npt.NDArray[np.int64]:
        return np.array([self._indices.get(entity, 0) for entity in entities], np.int64)

    def _missing(self, rows: Rows) -> list[list[str]]:
        names: list[list[str]] = [[] for _ in rows]
        for row, dimension in _places(np.isnan(rows["values"])):
            names[row].append(self._dimensions[dimension])
        return names


def _told(rows: Rows) -> list[_Told]:
    return [_Told(*row) for row in rows[list(_Told._fields)].tolist()]


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def _or_none(numbers: npt.NDArray[np.float64]) -> list[list[Any]]:
    """Lists of the rows of a matrix, None for NaN."""
    lists: list[list[Any]] = numbers.tolist()
    for row, column in _places(np.isnan(numbers)):
        lists[row][column] = None
    return lists


def _places(chosen: npt.NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Row and column of what is true in a matrix."""
    rows, columns = chosen.nonzero()
    return zip(rows.tolist(), columns.tolist(), strict=True)


def incident_id(entity: str, opened_ms: int) -> str:
    """Name of an incident, equal whenever the same points are scored again."""
    return f"{entity}@{opened_ms}"
