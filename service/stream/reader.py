"""Reads rows of the log back as answers, many at once."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import repeat
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from msgspec import UNSET, UnsetType

from service.scoring.fold import Fold, Status
from service.scoring.incident import Transition
from service.scoring.tail import p_value
from service.scoring.verdict import WARMING
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
        self._version = fold.bundle.manifest.version.encode()
        self._center, self._band = calibration.center, calibration.band
        self._indices = fold.bundle.entity_indices
        self._dimensions = fold.bundle.manifest.dimensions
        self._need = fold.need

    def verdicts(self, entities: Sequence[str], rows: Rows) -> list[Verdict]:
        """The answers to the points of these rows (batch,), each of the entity named."""
        surprisals = _or_none(rows["surprisal"])
        is_warming = rows["status"] == WARMING
        told_ms = np.where(rows["is_public"], rows["opened_ms"], 0)  # of what people are told of
        columns: tuple[Iterable[Any], ...] = (
            entities,
            rows["timestamp_ms"].tolist(),
            map(STATUS_NAMES.__getitem__, rows["status"].tolist()),
            _or_none(rows["score"]),
            _or_none(rows["severity"]),
            rows["is_anomaly"].tolist(),
            [None if each is None else p_value(each) for each in surprisals],
            self.causes(entities, rows),
            _incidents(entities, told_ms),
            self._models(rows["version"]),
            _where(
                (rows["transition"] > 0) & (told_ms > 0),
                rows["transition"],
                ALERT_KINDS.__getitem__,
            ),
            _where(is_warming, rows["have"], int),
            _where(is_warming, rows["have"], lambda _: self._need),
            self._missing(rows),
        )
        return list(map(Verdict, *columns))

    def kept(self, entity: str, rows: Rows) -> list[Row]:
        """The points of these rows of one entity, for a look at its window."""
        entities = [entity] * len(rows)
        values = rows["values"].astype(np.float64)
        shown = rounded(values + self._center[self._index(entities)], like=values)
        columns: tuple[Iterable[Any], ...] = (
            rows["timestamp_ms"].tolist(),
            map(STATUS_NAMES.__getitem__, rows["status"].tolist()),
            _or_none(rows["score"]),
            _or_none(rows["severity"]),
            rows["is_anomaly"].tolist(),
            _or_none(shown),
            self.causes(entities, rows),
        )
        return list(map(Row, *columns))

    def causes(self, entities: Sequence[str], rows: Rows) -> list[list[Cause]]:
        """The dimensions with a share of each row, largest first."""
        dimension = rows["causes"]["dimension"].astype(np.int64)
        value = rows["values"][np.arange(len(rows))[:, None], dimension]
        numbers = (rows["causes"]["share"], value, rows["causes"]["expected"])
        return self.blame(entities, Blamed(dimension, *(each.astype(float) for each in numbers)))

    def blame(self, entities: Sequence[str], blamed: Blamed) -> list[list[Cause]]:
        """The same from numbers that lie in no row."""
        is_cause = blamed.share > 0
        rows, places = is_cause.nonzero()
        dimension, share, value, expected = (each[rows, places] for each in blamed)
        at = self._index(entities)[rows], dimension
        center, band = self._center[at], self._band[at]
        deviation = value - expected
        exact = np.array((share, center + value, center + expected, band, deviation))
        shown = rounded(exact, like=np.array((share, value, expected, band, deviation)))
        names = map(self._dimensions.__getitem__, dimension.tolist())
        causes = list(map(Cause, names, *_or_none(shown)))
        ends = np.cumsum(is_cause.sum(axis=1)).tolist()
        return [causes[start:end] for start, end in zip([0, *ends], ends, strict=False)]

    def center(self, entity: str) -> npt.NDArray[np.float64]:
        """(dimension,) what was subtracted from its values."""
        center: npt.NDArray[np.float64] = self._center[self._indices.get(entity, 0)]
        return center

    def _models(self, versions: npt.NDArray[np.bytes_]) -> Iterable[str]:
        """A row taken over from another bundle names the version of that one."""
        if (versions == self._version).all():
            return repeat(self.title)
        ours = self._version
        return [self.title if each == ours else each.decode() for each in versions.tolist()]

    def _index(self, entities: Sequence[str]) -> npt.NDArray[np.int64]:
        return np.array([self._indices.get(entity, 0) for entity in entities], np.int64)

    def _missing(self, rows: Rows) -> Iterable[list[str] | UnsetType]:
        names: list[list[str]] = [[] for _ in rows]
        for row, dimension in _places(np.isnan(rows["values"])):
            names[row].append(self._dimensions[dimension])
        return [own or UNSET for own in names]


def _where(
    chosen: npt.NDArray[np.bool_], numbers: npt.NDArray[Any], tell: Callable[[int], Any]
) -> Iterable[Any]:
    """What is told of the chosen numbers, and nothing of the others."""
    if not chosen.any():
        return repeat(UNSET)
    pairs = zip(chosen.tolist(), numbers.tolist(), strict=True)
    return [tell(number) if is_chosen else UNSET for is_chosen, number in pairs]


def _incidents(entities: Sequence[str], opened_ms: npt.NDArray[np.int64]) -> Iterable[str | None]:
    if not opened_ms.any():
        return repeat(None)
    pairs = zip(entities, opened_ms.tolist(), strict=True)
    return [incident_id(entity, since) if since else None for entity, since in pairs]


def _or_none(numbers: npt.NDArray[np.float64]) -> list[Any]:
    """A list of them, or of their rows; None for NaN."""
    lists: list[Any] = numbers.tolist()
    for place in zip(*np.isnan(numbers).nonzero(), strict=True):
        *row, column = map(int, place)
        (lists[row[0]] if row else lists)[column] = None
    return lists


def _places(chosen: npt.NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Row and column of what is true in a matrix."""
    rows, columns = chosen.nonzero()
    return zip(rows.tolist(), columns.tolist(), strict=True)


def incident_id(entity: str, opened_ms: int) -> str:
    """Name of an incident, equal whenever the same points are scored again."""
    return f"{entity}@{opened_ms}"
