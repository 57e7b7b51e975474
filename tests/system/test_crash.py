"""Kill -9 of the service: nothing acknowledged is lost, nothing is scored or told twice."""

import json
import random
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import numpy as np
import pytest
from redis import Redis

from service.stream.messages import Point
from tests.cli.commands import gaugewatch
from tests.headers import read_header
from tests.system.conftest import Undisturbed
from tests.system.processes import PATIENCE_SECONDS, RedisServer, Service, until
from tests.system.real import BUDGET, real_stretch, shipped_bundle
from tests.system.replays import (
    SERIES,
    SHARDS,
    Replay,
    Run,
    alert_log,
    assert_same_alerts,
    assert_same_verdicts,
    by_entity,
    client_of,
    points_of,
    post_until_acknowledged,
)
from tests.system.subscribers import Subscriber

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

KILLS = 4


@pytest.fixture(params=["embedded", "redis"])
def service(
    request: pytest.FixtureRequest, bundle_folder: Path, tmp_path: Path
) -> Iterator[Service]:
    """On the embedded Valkey, which dies with it, and on a Redis, which does not."""
    if request.param == "embedded":
        with Service(bundle_folder, tmp_path) as service:
            yield service
        return
    with (
        RedisServer(tmp_path / "redis") as server,
        Service(bundle_folder, tmp_path, redis_url=server.url) as service,
    ):
        yield service


def test_a_service_killed_at_random_points_of_a_replay_ends_as_if_undisturbed(
    service: Service, undisturbed: Undisturbed
) -> None:
    choice = random.Random(5)
    replay = Replay(service, seed=21)
    replay.begin()
    for kill in range(1, KILLS + 1):
        replay.until_sent(kill * replay.requests // (KILLS + 1))
        assert not replay.is_over
        time.sleep(choice.uniform(0.0, 0.02))  # somewhere on the path of a point
        service.kill()
        service.start()
    run = replay.end()
    assert len(run.refusals) >= KILLS, "the kills were noticed"
    assert_same_verdicts(run, undisturbed.run.verdicts)
    assert_same_alerts(service.redis_url, undisturbed.alerts)


def test_an_answer_that_was_lost_is_given_again(service: Service, undisturbed: Undisturbed) -> None:
    """Committed, never acknowledged: the client kills its hope, we kill the service."""
    run = Run()
    for series in SERIES:
        points = points_of(series)[:100]
        nobody_reads = send_and_never_read(service, points)
        until(lambda: kept(service, series.entity) == 100, "the commit")  # noqa: B023
        service.kill()
        nobody_reads.close()
        service.start()
        with client_of(service) as client:
            post_until_acknowledged(client, points, run)
    assert {verdict.status for verdict in run.verdicts.values()} == {"duplicate"}
    expected = {key: undisturbed.run.verdicts[key] for key in run.verdicts}
    assert_same_verdicts(run, expected)
    assert_told_up_to(service, undisturbed, 100)


def test_a_subscriber_resumes_after_a_crash_without_gap_or_repeat(
    service: Service, undisturbed: Undisturbed
) -> None:
    """Its cursor is good for the restarted service."""
    run, alpha = Run(), SERIES[0]
    heard: list[bytes] = []
    cursor = None
    for start in range(0, 300, 100):
        points = points_of(alpha)[start : start + 100]
        with Subscriber(service, after=cursor) as subscriber, client_of(service) as client:
            post_until_acknowledged(client, points, run)
            told = alert_log(service.redis_url)[alpha.entity]
            subscriber.until(len(told) - len(heard))
            assert subscriber.gaps == []
        heard += subscriber.alerts
        cursor = subscriber.cursor
        service.kill()
        service.start()
    assert heard == undisturbed.alerts[alpha.entity][: len(heard)]
    assert by_entity(heard) == alert_log(service.redis_url)


def test_a_real_machine_is_scored_through_kills_as_offline(tmp_path: Path) -> None:
    """The shipped bundle, however long its memory, by the commands `replay` and `score`."""
    bundle = shipped_bundle("smd-machine-1-6")
    file = real_stretch("SMD/machine-1-6.npz", tmp_path, points=700)
    offline, online = tmp_path / "offline.npz", tmp_path / "online.npz"
    words = ("--bundle", str(bundle), "--input", str(file), "--output", str(offline), "--json")
    incidents = json.loads(gaugewatch("score", *words, "--budget", str(BUDGET)).out)["incidents"]
    with (
        Service(
            bundle.parent, tmp_path, default_bundle="smd-machine-1-6", false_alarm_budget=BUDGET
        ) as service,
        ThreadPoolExecutor(1) as pool,
    ):
        pace = ("--batch", "5", "--rate", "300", "--json")
        into = ("--url", service.url, "--output", str(online))
        replaying = pool.submit(gaugewatch, "replay", str(file), *into, *pace)
        for share in (0.3, 0.6):
            until(lambda: kept(service, "machine-1-6") >= 700 * share, "points")  # noqa: B023
            service.kill()
            service.start()
        replaying.result(PATIENCE_SECONDS)
        log = [msgspec.json.decode(one) for one in alert_log(service.redis_url)["machine-1-6"]]
    with np.load(offline) as expected, np.load(online) as found:
        for name in ("score", "severity", "p_value", "is_anomaly"):
            assert found[name].tobytes() == expected[name].tobytes(), name
    opened = [alert["opened_ms"] for alert in log if alert["kind"] == "opened"]
    assert opened == [incident["opened_ms"] for incident in incidents]
    assert len({alert["id"] for alert in log}) == len(log)


def send_and_never_read(service: Service, points: list[Point]) -> socket.socket:
    body = msgspec.json.encode({"points": points})
    head = (
        "POST /v1/points HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    connection = socket.create_connection(("127.0.0.1", service.port))
    connection.sendall(head.encode() + body)
    return connection


def kept(service: Service, entity: str) -> int:
    """Points of an entity that Redis has."""
    with Redis.from_url(service.redis_url) as client:
        header = read_header(client, entity, SHARDS)
    return 0 if header is None else header.seq


def assert_told_up_to(service: Service, undisturbed: Undisturbed, count: int) -> None:
    """The log is the undisturbed one, as far as points were sent."""
    log = alert_log(service.redis_url)
    for series in SERIES:
        last_ms = int(series.timestamps_ms[count - 1])
        expected = [
            alert
            for alert in undisturbed.alerts[series.entity]
            if msgspec.json.decode(alert)["timestamp_ms"] <= last_ms
        ]
        assert expected
        assert log[series.entity] == expected
