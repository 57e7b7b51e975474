"""A view of one entity: what the store keeps of it, read back."""

import numpy as np

from service.errors import UnknownEntity
from service.stream.lane import IDEMPOTENT_ROWS, Lane
from service.stream.messages import EntityView
from service.stream.rows import Rows
from service.stream.store import Store


def log_of(lane: Lane, store: Store, entity: str) -> Rows:
    """The rows among which a repeated point is looked for."""
    found = store.recent(entity, IDEMPOTENT_ROWS)
    if found is None or found[0].layout != lane.layout:
        return np.empty(0, lane.row_dtype)
    return np.frombuffer(found[1], lane.row_dtype)


def view_of(lane: Lane, store: Store, entity: str, *, rows: int) -> EntityView:
    """An entity with its newest `rows` points. Raises UnknownEntity, StoreUnavailable."""
    found = store.recent(entity, min(rows, lane.layout.capacity))
    if found is None or found[0].layout != lane.layout:
        raise UnknownEntity("no point of this entity is kept")
    stored, window = found
    log = np.frombuffer(window or stored.rows, lane.row_dtype)
    newest = lane.reader.verdicts([entity], log[-1:])[0]
    is_open = newest.incident is not None and newest.transition != "resolved"
    return EntityView(
        entity=entity,
        model=lane.fold.bundle.title,
        dimensions=list(lane.fold.bundle.manifest.dimensions),
        points=stored.seq,
        have=int(log[-1]["have"]),
        need=lane.fold.need,
        status=newest.status,
        incident=newest.incident if is_open else None,
        window=lane.reader.kept(entity, log),
    )
