"""The same batch sent five times: at once, and again after the service was killed."""

import random
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest

from service.stream.messages import Point
from tests.chaos.conftest import Length
from tests.chaos.history import History, Seen, check
from tests.chaos.load import Caller, tell_of_all
from tests.chaos.plant import Plant, plant_of
from tests.chaos.seen import Row, row_of
from tests.system.processes import RedisServer, Service

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

TIMES: Final = 5
EACH: Final = 40  # points of each entity, in a batch
REMEMBERED: Final = 160  # points of an entity, at least, of which a repeat is known


def test_a_batch_sent_five_times_counts_once(
    bundle_folder: Path, tmp_path: Path, redis_server: RedisServer, length: Length, seen: list[Row]
) -> None:
    batches, history = length.of(2, full=40), History()
    plant = plant_of(8, points=batches * EACH)
    with (
        Service(bundle_folder, tmp_path, redis_url=redis_server.url, drain_seconds=0) as service,
        ThreadPoolExecutor(TIMES) as pool,
        ExitStack() as stack,
    ):
        tell_of_all(service.url)
        callers = [stack.enter_context(Caller(service.port, history)) for _ in range(TIMES)]
        for number in range(batches):
            batch = batch_of(plant, number * EACH)
            answers = list(pool.map(lambda caller: caller.post_until_acknowledged(batch), callers))  # noqa: B023
            assert_one_was_first(answers)
            if number % 10 == 1:
                service.kill()
                service.start()
                again = list(pool.map(lambda one: one.post_until_acknowledged(batch), callers))  # noqa: B023
                assert {verdict.status for answer in again for verdict in answer} == {"duplicate"}
        where = {"url": service.url, "redis_url": redis_server.url}
        checked = check(history, plant, bundle_folder, **where)
    assert checked.acknowledged == 8 * batches * EACH
    assert checked.alerts > 0
    seen.append(row_of("batch sent five times", history, checked, faults=batches))


def test_a_batch_longer_than_the_memory_of_repeats_is_late_where_it_is_forgotten(
    bundle_folder: Path, tmp_path: Path, redis_server: RedisServer
) -> None:
    plant, history = plant_of(1, points=500), History()
    points = [plant.point("alpha", position) for position in range(500)]
    with (
        Service(bundle_folder, tmp_path, redis_url=redis_server.url, drain_seconds=0) as service,
        Caller(service.port, history) as caller,
    ):
        first = caller.post_until_acknowledged(points)
        for _ in ("at once", "after a restart"):
            again = caller.post(points) or caller.post(points)  # the first finds us restarted
            assert again is not None
            known = next(i for i, verdict in enumerate(again) if verdict.status == "duplicate")
            assert {verdict.status for verdict in again[:known]} == {"late"}
            assert {verdict.status for verdict in again[known:]} == {"duplicate"}
            assert 0 < known <= 500 - REMEMBERED
            assert all(map(Seen.agrees, again[known:], first[known:]))
            service.kill()
            service.start()
        where = {"url": service.url, "redis_url": redis_server.url}
        check(history, plant, bundle_folder, **where)


def batch_of(plant: Plant, start: int) -> list[Point]:
    """Points of all entities in an order of their own, those of each in order of time."""
    names = [name for name in plant.series for _ in range(EACH)]
    random.Random(start).shuffle(names)
    next_of = dict.fromkeys(plant.series, start)
    points = []
    for name in names:
        points.append(plant.point(name, next_of[name]))
        next_of[name] += 1
    return points


def assert_one_was_first(answers: list[list[Seen]]) -> None:
    """That their numbers are the same, the history has seen to."""
    for verdicts in zip(*answers, strict=True):
        assert [verdict.status for verdict in verdicts].count("duplicate") == TIMES - 1
