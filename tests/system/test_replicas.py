"""Two services on one Redis: whoever answers, the answer is the same."""

import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from service.stream.messages import Point, Verdict
from tests.system.conftest import Undisturbed
from tests.system.processes import RedisServer, Service
from tests.system.replays import (
    SERIES,
    Run,
    assert_same_alerts,
    assert_same_verdicts,
    by_entity,
    client_of,
    interleaved,
    post_until_acknowledged,
    requests_of,
)
from tests.system.subscribers import Subscriber

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.fixture
def replicas(
    bundle_folder: Path, tmp_path: Path, redis_server: RedisServer
) -> Iterator[list[Service]]:
    with ExitStack() as stack:
        yield [
            stack.enter_context(Service(bundle_folder, tmp_path / name, redis_url=redis_server.url))
            for name in ("one", "other")
        ]


def test_replicas_taking_turns_at_random_answer_as_one(
    replicas: list[Service], undisturbed: Undisturbed
) -> None:
    choice, run = random.Random(31), Run()
    with (
        Subscriber(replicas[0]) as here,
        Subscriber(replicas[1]) as there,
        client_of(replicas[0]) as one,
        client_of(replicas[1]) as other,
    ):
        for request in requests_of(interleaved(SERIES), seed=32, largest=23):
            post_until_acknowledged(choice.choice([one, other]), request, run)
        count = sum(map(len, undisturbed.alerts.values()))
        here.until(count)
        there.until(count)
    assert run.repeated == 0
    assert run.refusals == []
    assert_same_verdicts(run, undisturbed.run.verdicts)
    assert_same_alerts(replicas[0].redis_url, undisturbed.alerts)
    assert by_entity(here.alerts) == by_entity(there.alerts) == undisturbed.alerts


def test_the_same_request_to_both_at_once_is_scored_once(
    replicas: list[Service], undisturbed: Undisturbed
) -> None:
    with (
        ThreadPoolExecutor(2) as pool,
        client_of(replicas[0]) as one,
        client_of(replicas[1]) as other,
    ):
        choice, runs = random.Random(33), [Run(), Run()]
        pairs = [(one, runs[0]), (other, runs[1])]
        for request in requests_of(interleaved(SERIES), seed=33, largest=40):
            choice.shuffle(pairs)
            posts = [pool.submit(post_until_acknowledged, to, request, run) for to, run in pairs]
            for each in posts:
                each.result()
            assert_one_was_first(request, runs)
    for run in runs:
        assert_same_verdicts(run, undisturbed.run.verdicts)
        assert 0 < run.repeated < len(run.verdicts), "both were first now and then"
    assert_same_alerts(replicas[0].redis_url, undisturbed.alerts)


def test_each_replica_has_its_own_entity_and_then_they_swap(
    replicas: list[Service], undisturbed: Undisturbed
) -> None:
    """At the same time, from threads: a state held too long would be noticed."""
    runs = [Run(), Run()]
    with ThreadPoolExecutor(2) as pool:
        for half in range(2):
            services = replicas if half == 0 else replicas[::-1]
            parts = [interleaved([one])[half * 225 : half * 225 + 225] for one in SERIES]
            assert len(list(pool.map(_send, services, parts, runs))) == 2
    run = Run(verdicts={**runs[0].verdicts, **runs[1].verdicts})
    assert_same_verdicts(run, undisturbed.run.verdicts)
    assert_same_alerts(replicas[0].redis_url, undisturbed.alerts)


def _send(service: Service, points: Sequence[Point], run: Run) -> None:
    with client_of(service) as client:
        for request in requests_of(points, seed=34, largest=30):
            post_until_acknowledged(client, request, run)


def assert_one_was_first(request: Sequence[Point], runs: Sequence[Run]) -> None:
    for point in request:
        found: list[Verdict] = [run.verdicts[point.entity, point.timestamp_ms] for run in runs]
        assert [verdict.status for verdict in found].count("duplicate") == 1
