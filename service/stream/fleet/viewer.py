"""Shows people the fleet, and fills its board while somebody looks."""

import asyncio
from functools import partial
from typing import Final

import structlog

from service.errors import StoreUnavailable
from service.stream.desk import Desk
from service.stream.fleet.answer import fleet_answer
from service.stream.fleet.board import Fleet, Span
from service.stream.fleet.fill import FleetFill

EVERY_SECONDS: Final = 15.0  # after the end of a round the next one may begin
FIRST_SECONDS: Final = 2.0  # that the first who looks waits for what was there before
log: structlog.stdlib.BoundLogger = structlog.get_logger()


class FleetViewer:
    """Answers on a thread of its own, fills on another; for the event loop."""

    def __init__(
        self, fleet: Fleet, fill: FleetFill, *, every_seconds: float = EVERY_SECONDS
    ) -> None:
        self._fleet, self._fill, self._every_seconds = fleet, fill, every_seconds
        self._desk, self._filling = Desk("fleet"), Desk("fleet fill")
        self._round: asyncio.Task[None] | None = None
        self._next_seconds = 0.0
        self._was_filled = False

    async def answer(self, span: Span, cursor: str | None) -> bytes:
        """The fleet as JSON. Raises BadCursor, Overloaded."""
        loop = asyncio.get_running_loop()
        if self._round is None and loop.time() >= self._next_seconds:
            self._round = asyncio.create_task(self._fill_once(), name="fleet fill")
        if self._round is not None and not self._was_filled:
            await asyncio.wait([self._round], timeout=FIRST_SECONDS)
        return await self._desk.ask(partial(fleet_answer, self._fleet, span, cursor))

    async def close(self) -> None:
        """Finish what is being answered, then let go of the threads."""
        self._fill.stop()
        if self._round is not None:
            await asyncio.wait([self._round])
        self._filling.close()
        self._desk.close()

    async def _fill_once(self) -> None:
        """The board stays as it is where Redis is away."""
        try:
            await self._filling.ask(self._fill.round)
            self._was_filled = True
        except StoreUnavailable as error:
            log.warning("the board of the fleet cannot be filled", detail=error.detail)
        except Exception:
            log.exception("the board of the fleet cannot be filled")
        finally:
            self._next_seconds = asyncio.get_running_loop().time() + self._every_seconds
            self._round = None
