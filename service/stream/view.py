"""Views of one entity: what the store keeps of it, read back."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from service.errors import Overloaded, UnknownEntity
from service.stream.lane import Lane
from service.stream.messages import EntityView
from service.stream.rows import Rows
from service.stream.store import Store

MAX_WAITING = 64


def log_of(lane: Lane, store: Store, entity: str) -> tuple[bytes, Rows]:
    """Token and kept rows of an entity, among which a repeated point is looked for."""
    found = store.recent(entity, lane.layout.capacity)
    if found is None:
        return b"", np.empty(0, lane.row_dtype)
    stored, rows = found
    return stored.token, _kept(lane, rows if stored.layout == lane.layout else b"")


def view_of(lane: Lane, store: Store, entity: str, *, rows: int) -> EntityView:
    """An entity with its newest `rows` points. Raises UnknownEntity, StoreUnavailable."""
    found = store.recent(entity, max(1, min(rows, lane.layout.capacity)))
    if found is None:
        raise UnknownEntity("no point of this entity is kept")
    stored, window = found
    log = _kept(lane, window if stored.layout == lane.layout else b"")
    if len(log) == 0:
        raise UnknownEntity("no point of this entity is kept for the bundle that scores it now")
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


def _kept(lane: Lane, packed: bytes) -> Rows:
    """Rows that were written; a ring that lost its head is filled with zeros."""
    rows = np.frombuffer(packed, lane.row_dtype)
    return rows[rows["have"] > 0]


class Viewer:
    """Reads for people, on a thread and a connection of their own: points never wait for them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="viewer")
        self._waiting = 0

    def close(self) -> None:
        """Finish what was asked, then let go of thread and connection."""
        self._thread.shutdown(cancel_futures=True)
        self._store.close()

    async def view(self, lane: Lane, entity: str, *, rows: int) -> EntityView:
        """What `view_of` says. Raises Overloaded when too many are waiting."""
        if self._waiting >= MAX_WAITING:
            raise Overloaded(f"{MAX_WAITING} views are waiting already")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._thread, lambda: view_of(lane, self._store, entity, rows=rows)
            )
        finally:
            self._waiting -= 1
