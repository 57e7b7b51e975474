import asyncio
import threading
from collections.abc import Coroutine, Sequence

import pytest

from service.errors import EntityContended, GaugewatchError, Overloaded, StoreUnavailable
from service.stream.batcher import Batcher
from service.stream.configuration import Configuration
from service.stream.messages import Point, Verdict
from service.stream.posted import Posted
from service.stream.requests import Requests
from service.stream.serving import Serving

SERVING = Serving(1, Configuration(), {}, shadows={})


def point(number: int) -> Point:
    return Point("alpha", number, [0.0])


def verdict_of(point: Point) -> Verdict:
    return Verdict(
        entity=point.entity,
        timestamp_ms=point.timestamp_ms,
        status="scored",
        score=None,
        severity=None,
        is_anomaly=False,
        p_value=None,
        contributions=[],
        incident=None,
        model=None,
    )


def submit(running: Batcher, points: Sequence[Point]) -> Coroutine[None, None, list[Verdict]]:
    return running.submit(Posted.of(points), checked=SERVING)


class Worker:
    """Answers every point with its own time, and holds a batch until it is let go."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.go = threading.Event()
        self.go.set()

    def process(self, requests: Requests) -> list[list[Verdict] | GaugewatchError]:
        self.go.wait(10)
        self.batches.append([len(request.points) for request in requests])
        return [[verdict_of(one) for one in request.points] for request in requests]


def batcher(worker: Worker, *, queued: int = 100, batch: int = 100) -> Batcher:
    return Batcher(worker.process, max_queued_points=queued, max_batch_points=batch)


async def test_every_request_gets_its_own_verdicts_whatever_shares_its_batch() -> None:
    worker = Worker()
    async with batcher(worker, queued=10_000, batch=7) as running:
        requests = [[point(10 * n + i) for i in range(n % 5 + 1)] for n in range(60)]
        answers = await asyncio.gather(*(submit(running, request) for request in requests))
    for request, answer in zip(requests, answers, strict=True):
        assert [verdict.timestamp_ms for verdict in answer] == [p.timestamp_ms for p in request]
    assert all(sum(sizes) <= 7 for sizes in worker.batches)


async def test_what_queues_while_a_batch_runs_is_one_batch() -> None:
    worker = Worker()
    worker.go.clear()
    async with batcher(worker) as running:
        first = asyncio.create_task(submit(running, [point(0)]))
        await asyncio.sleep(0.05)
        rest = [asyncio.create_task(submit(running, [point(n)])) for n in range(1, 20)]
        await asyncio.sleep(0.05)
        worker.go.set()
        await asyncio.gather(first, *rest)
    assert worker.batches == [[1], [1] * 19]


async def test_a_full_queue_refuses_and_keeps_nothing_of_the_request() -> None:
    worker = Worker()
    worker.go.clear()
    async with batcher(worker, queued=3) as running:
        first = asyncio.create_task(submit(running, [point(0), point(1)]))
        await asyncio.sleep(0.05)
        with pytest.raises(Overloaded):
            await submit(running, [point(2), point(3)])
        assert running.queued_points == 2
        worker.go.set()
        await first
        assert running.queued_points == 0
        assert len(await submit(running, [point(n) for n in range(9)])) == 9
    assert worker.batches == [[2], [9]]


async def test_what_has_queued_is_answered_before_the_end() -> None:
    worker = Worker()
    worker.go.clear()
    running = await batcher(worker).__aenter__()
    waiting = [asyncio.create_task(submit(running, [point(n)])) for n in range(5)]
    await asyncio.sleep(0.05)
    ending = asyncio.create_task(running.__aexit__(None, None, None))
    await asyncio.sleep(0.05)
    with pytest.raises(Overloaded):
        await submit(running, [point(9)])
    worker.go.set()
    assert len(await asyncio.gather(*waiting)) == 5
    await ending


async def test_a_client_that_left_does_not_disturb_the_others() -> None:
    worker = Worker()
    worker.go.clear()
    async with batcher(worker) as running:
        leaving = asyncio.create_task(submit(running, [point(0)]))
        staying = asyncio.create_task(submit(running, [point(1)]))
        await asyncio.sleep(0.05)
        leaving.cancel()
        worker.go.set()
        assert len(await staying) == 1


async def test_what_stops_one_request_is_raised_there_alone() -> None:
    def process(requests: Requests) -> list[list[Verdict] | GaugewatchError]:
        return [
            StoreUnavailable("away") if first.timestamp_ms == 1 else [verdict_of(first)]
            for first in (next(iter(request.points)) for request in requests)
        ]

    async with Batcher(process, max_queued_points=9, max_batch_points=9) as running:
        good, bad = await asyncio.gather(
            submit(running, [point(0)]), submit(running, [point(1)]), return_exceptions=True
        )
    assert isinstance(good, list)
    assert isinstance(bad, StoreUnavailable)


async def test_a_batch_that_breaks_answers_everybody_and_the_next_one_runs() -> None:
    calls = []

    def process(requests: Requests) -> list[list[Verdict] | GaugewatchError]:
        calls.append(len(requests))
        if len(calls) == 1:
            raise ZeroDivisionError
        return [[verdict_of(one) for one in request.points] for request in requests]

    async with Batcher(process, max_queued_points=9, max_batch_points=9) as running:
        with pytest.raises(ZeroDivisionError):
            await submit(running, [point(0)])
        assert len(await submit(running, [point(1)])) == 1


async def test_who_waited_behind_an_outage_is_refused_with_it() -> None:
    """And not after the next attempt, which would take as long again."""
    worker, error = Worker(), StoreUnavailable("away")
    worker.go.clear()

    def process(requests: Requests) -> list[list[Verdict] | GaugewatchError]:
        worker.process(requests)
        return [error for _ in requests]

    async with Batcher(process, max_queued_points=99, max_batch_points=2) as running:
        first = asyncio.create_task(submit(running, [point(0)]))
        await asyncio.sleep(0.05)
        rest = [asyncio.create_task(submit(running, [point(n)])) for n in range(1, 9)]
        await asyncio.sleep(0.05)
        worker.go.set()
        answers = await asyncio.gather(first, *rest, return_exceptions=True)
        assert answers == [error] * 9
        assert worker.batches == [[1]]
        assert running.queued_points == 0


async def test_an_entity_that_others_score_is_no_outage() -> None:
    worker = Worker()
    worker.go.clear()

    def process(requests: Requests) -> list[list[Verdict] | GaugewatchError]:
        answers = worker.process(requests)
        return [EntityContended("others")] if len(worker.batches) == 1 else answers

    async with Batcher(process, max_queued_points=9, max_batch_points=9) as running:
        first = asyncio.create_task(submit(running, [point(0)]))
        await asyncio.sleep(0.05)
        second = asyncio.create_task(submit(running, [point(1)]))
        await asyncio.sleep(0.05)
        worker.go.set()
        with pytest.raises(EntityContended):
            await first
        assert len(await second) == 1


async def test_what_breaks_after_the_answers_does_not_stop_the_next_batch() -> None:
    worker = Worker()

    def rest() -> None:
        raise ZeroDivisionError

    async with Batcher(
        worker.process, max_queued_points=9, max_batch_points=9, rest=lambda: rest
    ) as running:
        for number in range(3):
            assert len(await asyncio.wait_for(submit(running, [point(number)]), 10)) == 1
