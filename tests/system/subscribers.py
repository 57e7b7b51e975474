"""Websocket subscribers: one that listens all the time, one that is cut off again and again."""

import asyncio
import random
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

import msgspec
from websockets.asyncio.client import ClientConnection, connect

from tests.system.processes import Service, until


class Frame(msgspec.Struct):
    """One message; the alert stays the bytes that came."""

    cursor: str
    heartbeat: int | None = None
    alert: msgspec.Raw = msgspec.Raw()
    gap: dict[str, int] | None = None


class Subscriber:
    """Collects alerts in a thread, from now on. `is_cut` says after which ones to be cut off."""

    def __init__(
        self,
        service: Service,
        *,
        after: str | None = None,
        is_cut: Callable[[], bool] | None = None,
    ) -> None:
        self._url = service.url.replace("http", "ws") + "/v1/alerts"
        self._is_cut = is_cut or (lambda: False)
        self._thread = threading.Thread(target=lambda: asyncio.run(self._listen()), daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self.cursor = after  # of the last message
        self.alerts: list[bytes] = []
        self.times: list[float] = []  # at which they came, time.monotonic()
        self.gaps: list[dict[str, int]] = []
        self.connections = 0

    def __enter__(self) -> Self:
        self._thread.start()
        until(lambda: self._hears() and self.connections, "the first message of the alert socket")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._thread.is_alive() and self._loop is not None and self._task is not None:
            self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join()

    def until(self, count: int) -> None:
        """Wait for so many alerts."""
        until(lambda: self._hears() and len(self.alerts) >= count, f"{count} alerts")

    def _hears(self) -> bool:
        assert self._thread.is_alive(), "the subscriber has failed"
        return True

    async def _listen(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.create_task(self._reconnect())
        await asyncio.wait([self._task])

    async def _reconnect(self) -> None:
        while True:
            query = f"?after={self.cursor}" if self.cursor else ""
            async with connect(self._url + query) as socket:
                await self._collect(socket)
                socket.transport.abort()  # as a killed process would: without a goodbye

    async def _collect(self, socket: ClientConnection) -> None:
        """Until it is time to be cut off."""
        was_greeted = False
        async for message in socket:
            frame = msgspec.json.decode(message, type=Frame)
            self.cursor = frame.cursor
            self.connections += frame.heartbeat is not None and not was_greeted
            was_greeted = True
            if frame.gap is not None:
                self.gaps.append(frame.gap)
            if bytes(frame.alert):
                self.alerts.append(bytes(frame.alert))
                self.times.append(time.monotonic())
                if self._is_cut():
                    return


def now_and_then(seed: int, *, share: float = 0.3) -> Callable[[], bool]:
    """True for a share of the questions."""
    choice = random.Random(seed)
    return lambda: choice.random() < share
