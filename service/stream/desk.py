"""The desk: what people ask of the store, one after the other on a thread of its own.

Points never wait for it, and it refuses when too many are waiting.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from service.errors import Overloaded

Answer = TypeVar("Answer")
MAX_WAITING = 64


class Desk:
    """One thread and a bounded number of people in front of it."""

    def __init__(self, name: str) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._waiting = 0

    def close(self) -> None:
        """Finish what is being answered."""
        self._thread.shutdown(cancel_futures=True)

    async def ask(self, action: Callable[[], Answer]) -> Answer:
        """What `action` returns. Raises Overloaded when too many are waiting."""
        if self._waiting >= MAX_WAITING:
            raise Overloaded(f"{MAX_WAITING} requests of this kind are waiting already")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, action)
        finally:
            self._waiting -= 1
