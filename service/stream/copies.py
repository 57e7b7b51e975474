"""Copies: an answer waits until other servers have what it says (durability `replicated`)."""

import time
from collections.abc import Sequence
from typing import Any, Final

from redis import Redis
from redis.exceptions import ResponseError

from service.errors import StoreUnavailable

WAIT_MS: Final = 150  # less than the patience for one command
ASK_AGAIN_MS: Final = 10


class Copies:
    """Waits for the memory of replicas and, where the server knows WAITAOF, for their disks."""

    def __init__(self, replicas: int) -> None:
        self._replicas = replicas
        self._knows_disks = True

    def of_shards(self, redis: Redis, shards: Sequence[int]) -> Sequence[int]:
        """All that their server has written is on its disk and copied. Raises StoreUnavailable.

        A key is written first: WAIT waits for what its own connection wrote, and what an answer
        repeats was written by another one, or by another process.
        """
        last_ms = _clock_ms() + WAIT_MS
        with redis.client() as connection:  # type: ignore[no-untyped-call]
            connection.set(copied_key(shards[0]), b"")
            count = int(connection.wait(self._replicas, WAIT_MS))
            if count >= self._replicas and self._knows_disks:
                count = self._on_disks(connection, last_ms)
        if count < self._replicas:
            raise StoreUnavailable(
                f"expected {self._replicas} replicas to have it within {WAIT_MS} ms, came {count}"
            )
        return shards

    def _on_disks(self, connection: Redis, last_ms: float) -> int:
        """Asked again and again: a replica says what was on its disk before it was asked."""
        while True:
            try:
                own, count = _waitaof(connection, self._replicas)
            except ResponseError as error:
                if "unknown command" not in str(error).lower():
                    raise
                self._knows_disks = False
                return self._replicas
            if own and count >= self._replicas:
                return count
            if _clock_ms() > last_ms:
                return min(count, self._replicas - 1)


def copied_key(shard: int) -> bytes:
    """Holds nothing."""
    return b"gw:{%d}:copied" % shard


def _waitaof(connection: Redis, replicas: int) -> tuple[int, int]:
    """Whether the primary's own disk has it, and how many others."""
    reply: Any = connection.waitaof(1, replicas, ASK_AGAIN_MS)
    own, others = reply
    return int(own), int(others)


def _clock_ms() -> float:
    return 1_000 * time.monotonic()
