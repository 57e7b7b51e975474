"""Redis dies or hangs in the middle: clients are told to come back, and miss nothing."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest

from service.web.readiness import ASK_SECONDS, SILENT_SECONDS
from tests.system.conftest import Undisturbed
from tests.system.processes import RedisServer, Service, until
from tests.system.replays import (
    SERIES,
    Refused,
    Replay,
    Run,
    assert_same_alerts,
    assert_same_verdicts,
    by_entity,
    client_of,
    interleaved,
    post,
    post_until_acknowledged,
)
from tests.system.subscribers import Subscriber

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

PROMPT_SECONDS: Final = 1.5  # of one request to a Redis that is away
SHORT_SECONDS: Final = 0.5
LOADED: Final = 3.0  # a loaded machine may take so many times as long

Step = Callable[[RedisServer], None]
OUTAGES: Final[dict[str, tuple[Step, Step]]] = {
    "killed": (RedisServer.kill, RedisServer.start),
    "frozen": (RedisServer.freeze, RedisServer.thaw),
}


@pytest.mark.parametrize("outage", OUTAGES)
def test_a_redis_that_is_away_is_a_503_and_then_all_is_as_if_undisturbed(
    bundle_folder: Path,
    tmp_path: Path,
    redis_server: RedisServer,
    undisturbed: Undisturbed,
    outage: str,
) -> None:
    go_away, come_back = OUTAGES[outage]
    with (
        Service(bundle_folder, tmp_path, redis_url=redis_server.url) as service,
        Subscriber(service) as live,
    ):
        replay = Replay(service, seed=41)
        replay.begin()
        for turn in (1, 2):
            replay.until_sent(turn * replay.requests // 3)
            go_away(redis_server)
            refused = len(replay.run.refusals)
            until(lambda: service.status("/readyz") == 503, "/readyz to be 503")
            assert service.status("/livez") == 200
            until(lambda: len(replay.run.refusals) >= refused + 3, "three refusals")  # noqa: B023
            assert service.status("/livez") == 200
            assert not replay.is_over
            come_back(redis_server)
            until(lambda: service.status("/readyz") == 200, "/readyz to be 200 again")
        run = replay.end()
        live.until(sum(map(len, undisturbed.alerts.values())))
        assert_refused_politely(run.refusals)
        assert_same_verdicts(run, undisturbed.run.verdicts)
        assert_same_alerts(redis_server.url, undisturbed.alerts)
    assert live.connections == 1
    assert live.gaps == []
    assert by_entity(live.alerts) == undisturbed.alerts


def assert_refused_politely(refusals: list[Refused]) -> None:
    assert refusals
    for refusal in refusals:
        assert (refusal.status, refusal.code) == (503, "store_unavailable")
        assert refusal.retry_after is not None
        assert int(refusal.retry_after) >= 1


@pytest.mark.parametrize("outage", OUTAGES)
def test_the_refusal_is_prompt(
    bundle_folder: Path, tmp_path: Path, redis_server: RedisServer, outage: str
) -> None:
    go_away, come_back = OUTAGES[outage]
    points = interleaved(SERIES)[:8]
    with (
        Service(bundle_folder, tmp_path, redis_url=redis_server.url) as service,
        client_of(service) as client,
    ):
        go_away(redis_server)
        refusals = [post(client, points) for _ in range(3)]
        come_back(redis_server)
        post_until_acknowledged(client, points, Run())
    for refusal in refusals:
        assert isinstance(refusal, Refused)
        assert refusal.seconds < PROMPT_SECONDS * LOADED
        assert_refused_politely([refusal])
    assert min(one.seconds for one in refusals if isinstance(one, Refused)) < PROMPT_SECONDS


def test_nobody_waits_for_more_than_one_attempt(
    bundle_folder: Path, tmp_path: Path, redis_server: RedisServer
) -> None:
    """Requests that queue behind one that waits for Redis are refused with it."""
    points, waited = interleaved(SERIES)[:8], list[float]()

    def send(service: Service, delay_seconds: float) -> None:
        time.sleep(delay_seconds)
        with client_of(service) as client:
            refused = post(client, points)
        assert isinstance(refused, Refused)
        assert_refused_politely([refused])
        waited.append(refused.seconds)

    with (
        Service(bundle_folder, tmp_path, redis_url=redis_server.url) as service,
        ThreadPoolExecutor(16) as pool,
    ):
        redis_server.freeze()
        sent = [pool.submit(send, service, 0.1 * number) for number in range(16)]
        for one in sent:
            one.result()
        redis_server.thaw()
    assert max(waited) < PROMPT_SECONDS * LOADED
    assert sorted(waited)[len(waited) // 2] < PROMPT_SECONDS


def test_a_short_silence_of_redis_is_no_reason_to_be_unready(
    bundle_folder: Path, tmp_path: Path, redis_server: RedisServer
) -> None:
    with Service(bundle_folder, tmp_path, redis_url=redis_server.url) as service:
        for _ in range(3):
            time.sleep(1.0)
            redis_server.freeze()
            start = time.monotonic()
            while time.monotonic() < start + SHORT_SECONDS:
                status = service.status("/readyz")
                assert status == 200 or time.monotonic() > start + SILENT_SECONDS - ASK_SECONDS
            redis_server.thaw()


def test_a_commit_that_redis_runs_after_its_service_has_died_counts_once(
    bundle_folder: Path, tmp_path: Path, redis_server: RedisServer, undisturbed: Undisturbed
) -> None:
    """Redis hangs with the commit in its socket, the service is killed, Redis goes on."""
    with Service(bundle_folder, tmp_path, redis_url=redis_server.url) as service:
        replay = Replay(service, seed=42)
        replay.begin()
        for turn in (1, 2, 3):
            replay.until_sent(turn * replay.requests // 4)
            redis_server.freeze()
            time.sleep(0.3)  # so that a commit is on its way, of which nobody hears any more
            service.kill()
            redis_server.thaw()
            service.start()
        run = replay.end()
        assert_same_verdicts(run, undisturbed.run.verdicts)
        assert_same_alerts(redis_server.url, undisturbed.alerts)
    assert run.repeated > 0, "a commit was run that nobody had heard of"
