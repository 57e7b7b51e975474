"""Rollouts: changes of the configuration, agreed on through Redis by all replicas.

A change is made with the epoch it was read under; who loses a race reads again and repeats. Other
replicas notice within `POLL_SECONDS`, or earlier: a commit under an old epoch is refused.
"""

import asyncio
import random
import time
from collections.abc import Callable

import structlog

from service.errors import EpochMovedOn, GaugewatchError, StoreUnavailable
from service.stream.configuration import Configuration
from service.stream.models import Models
from service.stream.serving import Serving
from service.stream.store import Store

log: structlog.stdlib.BoundLogger = structlog.get_logger()

POLL_SECONDS = 1.0
ATTEMPTS = 20

Change = Callable[[Configuration], Configuration]


class Rollout:
    """Reads and changes the configuration; `store` is its own."""

    def __init__(self, store: Store, models: Models) -> None:
        self._store = store
        self._models = models
        self._changing = asyncio.Lock()  # the store is for one thread at a time
        self.problem: str | None = None  # why this replica lags behind the others

    async def start(self) -> Serving:
        """Agree with what Redis says and the folder has. Raises what stops the start."""
        return await self.change(self._models.configured)

    async def change(self, change: Change, *, expected_epoch: int | None = None) -> Serving:
        """Put a changed configuration in force, here at once. Raises StoreUnavailable.

        What it names is opened first: what cannot be opened changes nothing. Raises EpochMovedOn
        where another epoch than the expected one is in force, and the change would change it.
        """
        async with self._changing:
            return await asyncio.to_thread(self._change, change, expected_epoch)

    async def follow(self) -> None:
        """Adopt what other replicas put in force, for as long as the service runs."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            try:
                async with self._changing:
                    await asyncio.to_thread(refresh, self._models, self._store)
                self.problem = None
            except StoreUnavailable:
                continue  # readiness says so by itself
            except GaugewatchError as error:
                if self.problem is None:
                    log.error("configuration cannot be followed", detail=error.detail)
                self.problem = f"the configuration in force cannot be served: {error.detail}"

    def _change(self, change: Change, expected_epoch: int | None) -> Serving:
        sent = None
        for _ in range(ATTEMPTS):
            epoch, document = self._store.configuration()
            known = Configuration.decode(document) if document else Configuration()
            if document is not None and document == sent:
                return self._models.adopt(epoch, known)  # it was ours: only the answer got lost
            wanted = change(known)
            if document is not None and wanted == known:
                return self._models.adopt(epoch, known)
            if expected_epoch not in (None, epoch):
                self._models.adopt(epoch, known)  # who reads it again here reads the newest
                raise EpochMovedOn(f"expected epoch {expected_epoch}, {epoch} is in force")
            self._models.prepare(wanted)
            sent = wanted.encode()
            if (replaced := self._store.configure(epoch, sent)) is not None:
                log.info("configuration replaced", epoch=replaced)
                return self._models.adopt(replaced, wanted)
            time.sleep(random.uniform(0.0, 0.02))
        raise StoreUnavailable("other replicas keep changing the configuration; try again")


def refresh(models: Models, store: Store) -> Serving:
    """Adopt the configuration in force, if it is not the one served. Opens what is new."""
    if store.epoch() == models.serving.epoch:
        return models.serving
    epoch, document = store.configuration()
    return models.adopt(epoch, Configuration.decode(document or b"{}"))
