"""Readiness: whether this process can score points now, and if not, why.

A short silence of Redis is no reason: all replicas would be unready at once, and a balancer would
refuse what they could have answered a moment later.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final, NoReturn

from service.errors import StoreUnavailable
from service.stream.alerts import AlertFeed
from service.stream.rollout import Rollout
from service.stream.store import Store

ASK_SECONDS: Final = 0.5  # between two questions to Redis
SILENT_SECONDS: Final = 1.5  # without a good answer, before we say so


class Readiness:
    """Asks Redis by a connection of its own, so that neither queue nor probe waits for it."""

    def __init__(
        self,
        probe: Store,
        feed: AlertFeed,
        rollout: Rollout,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._probe = probe
        self._feed = feed
        self._rollout = rollout
        self._clock = clock
        self._good_seconds = clock()  # when Redis last gave a good answer: the start needed one
        self._bad_answer: str | None = None
        self.is_stopping = False

    def reasons(self) -> list[str]:
        """Why we are not ready; none when we are."""
        is_silent = self._clock() - self._good_seconds > SILENT_SECONDS
        reasons = [
            (self._bad_answer or "Redis does not answer") if is_silent else None,
            None if self._feed.is_reading else "the alert feed cannot read",
            self._rollout.problem,
            "the service is stopping" if self.is_stopping else None,
        ]
        return [reason for reason in reasons if reason is not None]

    async def follow(self) -> NoReturn:
        """Ask Redis again and again."""
        while True:
            self._bad_answer = await asyncio.to_thread(self._ask)
            if self._bad_answer is None:
                self._good_seconds = self._clock()
            await asyncio.sleep(ASK_SECONDS)

    def _ask(self) -> str | None:
        try:
            self._probe.entity_count()  # of every shard, wherever it lies
        except StoreUnavailable:
            return "Redis does not answer"
        try:
            self._probe.confirm()
        except StoreUnavailable:
            return "replicas of Redis do not keep up"
        return None
