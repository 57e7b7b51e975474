"""Views of one entity: what the store keeps of it, read back."""

from collections.abc import Callable

import numpy as np

from service.errors import UnknownBundle, UnknownEntity
from service.stream.commit import Layout
from service.stream.desk import Desk
from service.stream.incident_messages import IncidentRecord, IncidentRows
from service.stream.lane import Lane
from service.stream.messages import EntityView
from service.stream.rows import Rows, written
from service.stream.store import Store

LaneOf = Callable[[Layout], Lane | None]


def log_of(lane: Lane, store: Store, entity: str, *, rows: bytes) -> tuple[bytes, Rows]:
    """Token and kept rows of an entity, among which a repeated point is looked for.

    `rows` are those just taken over from another bundle, if any: the log has them in its form.
    """
    (found,) = store.recent([entity], lane.layout.capacity)
    if found is None:
        return b"", np.empty(0, lane.row_dtype)
    stored, kept = found
    if stored.layout != lane.layout:
        kept = rows
    return stored.token, written(np.frombuffer(kept, lane.row_dtype))


def view_of(lane_of: LaneOf, store: Store, entity: str, *, rows: int) -> EntityView:
    """An entity with its newest `rows` points. Raises UnknownEntity, StoreUnavailable."""
    (found,) = store.recent([entity], rows)
    if found is None:
        raise UnknownEntity("no point of this entity is kept")
    stored, window = found
    lane = lane_of(stored.layout)
    if lane is None:
        raise UnknownEntity(
            "the bundle that scored this entity last is gone, and it has no new point"
        )
    log = written(np.frombuffer(window, lane.row_dtype))
    if len(log) == 0:
        raise UnknownEntity("no point of this entity is kept")
    newest = lane.reader.verdicts([entity], log[-1:])[0]
    is_open = newest.incident is not None and newest.transition != "resolved"
    is_readable = len(stored.snapshot) == lane.fold.state_dtype.itemsize
    if stored.snapshot_seq == stored.seq and is_readable:  # it alone has what no point caused
        (state,) = lane.fold.decode(stored.snapshot)
        is_open &= bool(state["entity"]["incident"]["is_open"])
    return EntityView(
        entity=entity,
        model=newest.model or lane.fold.bundle.title,
        dimensions=list(lane.fold.bundle.manifest.dimensions),
        points=stored.seq,
        have=int(log[-1]["have"]),
        need=lane.fold.need,
        status=newest.status,
        incident=newest.incident if is_open else None,
        window=lane.reader.kept(entity, written(log)),
    )


def rows_of(lane_of: LaneOf, record: IncidentRecord) -> IncidentRows:
    """The points that are kept with an incident. Raises UnknownBundle."""
    lane = lane_of(Layout.parsed(record.written_as))
    if lane is None:
        raise UnknownBundle("the bundle that scored this incident is gone")
    entity, dtype = record.incident.entity, lane.row_dtype
    log = np.concatenate([np.frombuffer(rows, dtype) for rows in (record.before, record.rows)])
    return IncidentRows(
        incident=record.incident.incident,
        entity=entity,
        model=lane.fold.bundle.title,
        dimensions=list(lane.fold.bundle.manifest.dimensions),
        is_whole=record.is_whole,
        window=lane.reader.kept(entity, log),
    )


class Viewer:
    """Reads entities for people, over a connection of its own."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._desk = Desk("viewer")

    def close(self) -> None:
        """Finish what was asked, then let go of thread and connection."""
        self._desk.close()
        self._store.close()

    async def view(self, lane_of: LaneOf, entity: str, *, rows: int) -> EntityView:
        """What `view_of` says. Raises Overloaded when too many are waiting."""
        return await self._desk.ask(lambda: view_of(lane_of, self._store, entity, rows=rows))
