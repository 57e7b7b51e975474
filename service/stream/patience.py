"""Patience: how long Redis may take, and what is tried again until then.

A command is repeated here, and nowhere else; redis-py would repeat writes by itself.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import (
    AskError,
    ClusterDownError,
    ConnectionError as RedisGone,
    RedisClusterException,
    ResponseError,
    TimeoutError as RedisSlow,
    TryAgainError,
)
from redis.retry import Retry

from service.errors import StoreUnavailable

Answer = TypeVar("Answer")

# Away, or (in a cluster) elsewhere: MOVED is an ASK, and a node without its slots is no answer.
ELSEWHERE: Final = (AskError, TryAgainError, ClusterDownError, RedisClusterException)
AGAIN: Final = (RedisGone, RedisSlow, *ELSEWHERE)


@dataclass(frozen=True)
class Patience:
    """Time limits of a connection, and of a call with all its repeats."""

    connect_seconds: float
    command_seconds: float
    budget_seconds: float

    def client(self, url: str, *, connected: Callable[[Any], None] | None = None) -> Redis:
        """A client that asks once; `connected` makes its connections ready, or refuses them."""
        return Redis.from_url(
            url,
            protocol=2,
            driver_info=None,  # saves a round trip at connection
            retry=Retry(NoBackoff(), 0),
            socket_timeout=self.command_seconds,
            socket_connect_timeout=self.connect_seconds,
            redis_connect_func=connected,
        )

    def repeated(self, action: Callable[[], Answer]) -> Answer:
        """Run a call within the budget; an unknown outcome is sent again, token and all."""
        last_start = (
            time.monotonic() + self.budget_seconds - self.connect_seconds - self.command_seconds
        )
        while True:
            try:
                return action()
            except AGAIN as error:
                pause_seconds = random.uniform(0.01, 0.05)
                if time.monotonic() + pause_seconds > last_start:
                    raise StoreUnavailable(f"Redis did not answer in time: {error}") from error
                time.sleep(pause_seconds)
            except ResponseError as error:
                if "GWINVALID" in str(error):
                    raise ValueError(f"a commit that cannot be: {error}") from error
                raise StoreUnavailable(f"Redis refused: {error}") from error
