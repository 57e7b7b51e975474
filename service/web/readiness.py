"""Readiness: whether this process can score points now, and if not, why."""

import asyncio
import time
from typing import Final

from service.errors import StoreUnavailable
from service.stream.alerts import AlertFeed
from service.stream.rollout import Rollout
from service.stream.store import Store

FRESH_SECONDS: Final = 0.5  # however often we are asked, Redis is asked twice a second at most


class Readiness:
    """Asks Redis by a connection of its own, so that a full queue cannot delay the answer."""

    def __init__(self, probe: Store, feed: AlertFeed, rollout: Rollout) -> None:
        self._probe = probe
        self._feed = feed
        self._rollout = rollout
        self._asking = asyncio.Lock()
        self._asked_seconds = -FRESH_SECONDS
        self._store_reason: str | None = None
        self.is_stopping = False

    async def reasons(self) -> list[str]:
        """Why we are not ready; none when we are."""
        async with self._asking:
            if time.monotonic() - self._asked_seconds >= FRESH_SECONDS:
                self._store_reason = await asyncio.to_thread(self._ask)
                self._asked_seconds = time.monotonic()
        reasons = [
            self._store_reason,
            None if self._feed.is_reading else "the alert feed cannot read",
            self._rollout.problem,
            "the service is stopping" if self.is_stopping else None,
        ]
        return [reason for reason in reasons if reason is not None]

    def _ask(self) -> str | None:
        try:
            self._probe.entity_count()  # of every shard, wherever it lies
        except StoreUnavailable:
            return "Redis does not answer"
        return None
