"""A TCP proxy in front of Redis that delays, swallows replies, or becomes a black hole."""

import asyncio
import random
import threading
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

CHUNK: Final = 2**16


class Proxy:
    """Listens on a port of its own; `url` is the server behind it, reached through here.

    A connection of which a reply was swallowed stays open and says nothing any more, as TCP would
    show it: a later reply in the place of a lost one cannot happen.
    """

    def __init__(self, port: int, *, seed: int) -> None:
        self.delay_seconds = 0.0  # before each piece of a reply
        self.swallowed_share = 0.0  # of the replies
        self.swallowed = 0  # replies so far
        self.is_black_hole = False  # nothing passes, in neither direction
        self._choice, self._target = random.Random(seed), port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._is_listening, self._end = threading.Event(), asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._port = 0

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._is_listening.wait(10)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()

    def _serve(self) -> None:
        self._loop.run_until_complete(self._listen())
        self._loop.close()

    async def _listen(self) -> None:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self._port = server.sockets[0].getsockname()[1]
        self._is_listening.set()
        await self._end.wait()
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = self._loop.create_task(self._join(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until either side ends it."""
        behind: asyncio.StreamWriter | None = None
        ways: list[asyncio.Task[None]] = []
        try:
            replies, behind = await asyncio.open_connection("127.0.0.1", self._target)
            there = self._loop.create_task(self._requests(reader, behind))
            back = self._loop.create_task(self._replies(replies, writer))
            ways += [there, back]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        except OSError:
            pass  # nobody is behind us
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            writer.transport.abort()
            if behind is not None:
                behind.transport.abort()

    async def _requests(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        is_lost = False
        with suppress(OSError):
            while piece := await source.read(CHUNK):
                is_lost |= self.is_black_hole
                if not is_lost:
                    target.write(piece)
                    await target.drain()

    async def _replies(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        is_lost = False
        with suppress(OSError):
            while piece := await source.read(CHUNK):
                if not is_lost and self._choice.random() < self.swallowed_share:
                    is_lost, self.swallowed = True, self.swallowed + 1
                is_lost |= self.is_black_hole
                if not is_lost:
                    await asyncio.sleep(self.delay_seconds)
                    target.write(piece)
                    await target.drain()
