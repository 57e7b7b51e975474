"""The answer about the fleet, in columns, and the cursor with which only changes are asked for."""

import base64
from typing import Annotated, Final, Literal

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Meta, Struct

from service.errors import BadCursor
from service.stream.cursor import sealed, unsealed
from service.stream.fleet.board import CELL_SECONDS, Fleet, Span, Taken
from service.stream.fleet.cells import CELLS
from service.stream.messages import StatusName
from service.stream.reader import STATUS_NAMES, incident_id
from service.stream.silence import silence_id

DECIMALS: Final = 4

_Version = Annotated[int, Meta(ge=0, lt=2**62)]
_Cursor = tuple[Literal[1], bytes, _Version, Span]  # form, board, version of it, span
_CURSOR: Final = msgspec.msgpack.Decoder(_Cursor)


class FleetModel(Struct, frozen=True):
    """A bundle that scored some of the fleet."""

    model: str
    period_seconds: float


class FleetColumns(Struct, frozen=True, gc=False):
    """Entities: every list has one item for each."""

    entity: list[str]
    model: list[int]  # which of the models scored the newest point
    status: list[StatusName]
    timestamp_ms: list[int]  # of the newest point
    seen_ms: list[int]  # when it came, by the clock of the service
    score: list[float | None]
    severity: list[float | None]
    is_anomaly: list[bool]
    have: list[int]
    need: list[int]
    incident: list[str | None]  # that is open
    causes: list[list[tuple[str, float]]]  # of the newest odd point: dimension and share
    caused_ms: list[int | None]  # when that came
    cells: str  # base64; CELLS bytes of each entity, oldest first


class FleetAnswer(Struct, frozen=True):
    """The fleet, or what changed of it."""

    next: str
    is_whole: bool
    now_ms: int
    end_ms: int  # in the last cell
    cell_seconds: int
    cells: int
    count: int  # entities on the board
    left_off: int  # entities for which it has no room
    models: list[FleetModel]
    removed: list[str]
    entities: FleetColumns


def fleet_answer(fleet: Fleet, span: Span, cursor: str | None) -> bytes:
    """All of the fleet, or what changed since a cursor of the same span. Raises BadCursor."""
    since = None if cursor is None else _version(fleet, span, cursor)
    taken = fleet.taken(span, since)
    answer = FleetAnswer(
        next=sealed(msgspec.msgpack.encode((1, fleet.id, taken.version, span))),
        is_whole=taken.is_whole,
        now_ms=taken.now_ms,
        end_ms=taken.end_ms,
        cell_seconds=CELL_SECONDS[span],
        cells=CELLS,
        count=taken.on_board,
        left_off=taken.left_off,
        models=[FleetModel(source.model, source.period_seconds) for source in taken.sources],
        removed=taken.removed,
        entities=_columns(taken),
    )
    return msgspec.json.encode(answer)


def _version(fleet: Fleet, span: Span, cursor: str) -> int | None:
    """None where it is a cursor of another board, or of another span."""
    try:
        _, board, version, of_span = _CURSOR.decode(unsealed(cursor))
    except (ValueError, msgspec.MsgspecError):
        raise BadCursor("expected the `next` of an answer about the fleet") from None
    return version if (board, of_span) == (fleet.id, span) else None


def _columns(taken: Taken) -> FleetColumns:
    newest = taken.newest
    sources = newest["source"].tolist()
    needs = [source.need for source in taken.sources]
    return FleetColumns(
        entity=taken.names,
        model=sources,
        status=[STATUS_NAMES[status] for status in newest["status"].tolist()],
        timestamp_ms=newest["timestamp_ms"].tolist(),
        seen_ms=newest["seen_ms"].tolist(),
        score=_shown(newest["score"]),
        severity=_shown(newest["severity"]),
        is_anomaly=newest["is_anomaly"].tolist(),
        have=newest["have"].tolist(),
        need=[needs[source] for source in sources],
        incident=_incidents(taken),
        causes=_causes(taken),
        caused_ms=[None if at < 0 else at for at in newest["blamed_ms"].tolist()],
        cells=base64.b64encode(taken.cells.tobytes()).decode(),
    )


def _shown(numbers: npt.NDArray[np.float64]) -> list[float | None]:
    """As people read them; the encoder writes null for NaN."""
    shown: list[float | None] = np.round(numbers, DECIMALS).tolist()
    return shown


def _incidents(taken: Taken) -> list[str | None]:
    found: list[str | None] = [None] * len(taken.names)
    for at in np.flatnonzero(taken.newest["incident_ms"]).tolist():
        opened_ms = int(taken.newest["incident_ms"][at])
        name_of = silence_id if taken.newest["is_silence"][at] else incident_id
        found[at] = name_of(taken.names[at], opened_ms)
    return found


def _causes(taken: Taken) -> list[list[tuple[str, float]]]:
    found: list[list[tuple[str, float]]] = [[] for _ in taken.names]
    shares = np.round(taken.newest["share"].astype(np.float64), DECIMALS)
    blamed = np.flatnonzero((shares > 0).any(axis=1))
    columns = taken.newest["blamed_source"], taken.newest["dimension"], shares
    chosen = [column[blamed].tolist() for column in columns]
    for at, source, dimensions, parts in zip(blamed.tolist(), *chosen, strict=True):
        names = taken.sources[source].dimensions
        pairs = zip(dimensions, parts, strict=True)
        found[at] = [(names[dimension], share) for dimension, share in pairs if share > 0]
    return found
