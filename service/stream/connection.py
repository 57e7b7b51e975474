"""The connection to Redis: a command is repeated here, and nowhere else, within its budget."""

import random
import time
from collections.abc import Callable
from typing import Any

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisGone, ResponseError, TimeoutError as RedisSlow
from redis.retry import Retry

from service.errors import StoreUnavailable


class Connection:
    """One client; for one thread at a time."""

    def __init__(
        self, url: str, *, connect_seconds: float, command_seconds: float, budget_seconds: float
    ) -> None:
        self._last_start_seconds = budget_seconds - connect_seconds - command_seconds
        self.client = Redis.from_url(
            url,
            protocol=2,
            driver_info=None,  # saves a round trip at connection
            retry=Retry(NoBackoff(), 0),  # redis-py would repeat writes by itself
            socket_timeout=command_seconds,
            socket_connect_timeout=connect_seconds,
        )

    def ask(self, action: Callable[[], Any]) -> Any:
        """Run one command within the budget; an unknown outcome is sent again, token and all."""
        last_start = time.monotonic() + self._last_start_seconds
        while True:
            try:
                return action()
            except (RedisGone, RedisSlow) as error:
                pause_seconds = random.uniform(0.01, 0.05)
                if time.monotonic() + pause_seconds > last_start:
                    raise StoreUnavailable(f"Redis did not answer in time: {error}") from error
                time.sleep(pause_seconds)
            except ResponseError as error:
                if str(error).startswith("GWINVALID"):
                    raise ValueError(f"a commit that cannot be: {error}") from error
                raise StoreUnavailable(f"Redis refused: {error}") from error
