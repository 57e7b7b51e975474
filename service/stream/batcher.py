"""The batcher: takes whatever has queued while the last batch was scored.

Requests keep their order, so the points of an entity do too. There is no timer: an idle service
answers at once, a busy one batches by itself.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self, TypeVar

import structlog

from service.errors import BodyTooLarge, GaugewatchError, Overloaded, StoreUnavailable
from service.stream.messages import Verdict
from service.stream.posted import Posted
from service.stream.requests import Request, Requests
from service.stream.serving import Serving

log: structlog.stdlib.BoundLogger = structlog.get_logger()

Result = TypeVar("Result")
MAX_STEPS = 512  # points of one entity in a batch; a longer one would hold up everybody else


class Batcher:
    """One worker thread, a bounded queue of points in front of it.

    `process` gets several requests and returns, for each, its verdicts or what stopped it. What
    `rest` returns, if anything, runs on the same thread when they were answered.
    """

    def __init__(
        self,
        process: Callable[[Requests], list[list[Verdict] | GaugewatchError]],
        *,
        max_queued_points: int,
        max_batch_points: int,
        rest: Callable[[], Callable[[], None] | None] = lambda: None,
    ) -> None:
        self._process = process
        self._rest = rest
        self._max_queued_points = max_queued_points
        self._max_batch_points = max_batch_points
        self._requests: deque[Request] = deque()
        self._arrived = asyncio.Event()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="scorer")
        self._task: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop  # that we are entered in; to look it up is a syscall
        self._is_closing = False
        self.queued_points = 0

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(self._drain())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Answer everything that has queued, then stop."""
        self._is_closing = True
        self._arrived.set()
        if self._task is not None:
            await self._task
        self._worker.shutdown()

    async def submit(
        self, points: Posted, *, checked: Serving, is_quiet: bool = False
    ) -> list[Verdict]:
        """Verdicts of one request, in its order. Raises Overloaded, BodyTooLarge."""
        if self._is_closing:
            raise Overloaded("the service is stopping; send the request to another, or again")
        if self.queued_points and self.queued_points + len(points) > self._max_queued_points:
            raise Overloaded(
                f"{self.queued_points} points are waiting, {self._max_queued_points} may; "
                "nothing of this request was kept"
            )
        if points.steps > MAX_STEPS:
            raise BodyTooLarge(
                f"expected at most {MAX_STEPS} points of one entity in a request, "
                f"came {points.steps}"
            )
        request = Request(points, checked, self._loop.create_future(), is_quiet)
        self._requests.append(request)
        self.queued_points += len(points)
        self._arrived.set()
        return await request.answer

    def refuse_waiting(self, error: StoreUnavailable) -> None:
        """Nobody who has waited for one outage is made to wait for the next attempt too."""
        waiting, self._requests = self._requests, deque()
        self.queued_points -= sum(len(request.points) for request in waiting)
        _fail(waiting, error)

    async def run(self, job: Callable[[], Result]) -> Result:
        """What `job` returns, run between two batches on the thread that scores."""
        return await self._loop.run_in_executor(self._worker, job)

    async def _drain(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while batch := self._take():
                try:
                    answers = await self._loop.run_in_executor(self._worker, self._process, batch)
                except Exception as error:  # noqa: BLE001  whatever it is, nobody may wait forever
                    _fail(batch, error)
                else:
                    _answer(batch, answers)
                    for away in answers:
                        if isinstance(away, StoreUnavailable):
                            self.refuse_waiting(away)
                self.queued_points -= sum(len(request.points) for request in batch)
                await self._rested()
            if self._is_closing:
                return

    async def _rested(self) -> None:
        """What comes after the answers; if it breaks, the next batch must not wait for ever."""
        try:
            if (rest := self._rest()) is not None:
                await self.run(rest)
        except Exception:
            log.exception("what follows a batch has failed")

    def _take(self) -> list[Request]:
        """The oldest requests, as many as fit a batch, at least one; not those given up on."""
        batch: list[Request] = []
        points = steps = 0
        while self._requests:
            request = self._requests[0]
            if request.answer.cancelled():
                self.queued_points -= len(self._requests.popleft().points)
                continue
            points, steps = points + len(request.points), steps + request.points.steps
            if batch and (points > self._max_batch_points or steps > MAX_STEPS):
                break
            batch.append(self._requests.popleft())
        return batch


def _answer(batch: list[Request], answers: list[list[Verdict] | GaugewatchError]) -> None:
    for request, answer in zip(batch, answers, strict=True):
        if request.answer.cancelled():
            continue  # the client has gone; its points are kept all the same
        if isinstance(answer, GaugewatchError):
            request.answer.set_exception(answer)
        else:
            request.answer.set_result(answer)


def _fail(batch: Iterable[Request], error: Exception) -> None:
    for request in batch:
        if not request.answer.cancelled():
            request.answer.set_exception(error)
