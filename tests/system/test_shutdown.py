"""SIGTERM: what is in flight is answered, and the service is gone in time."""

import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx2
import pytest
from redis import Redis
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from service.stream.keys import alert_count_key, alert_stream_key
from tests.system.processes import RedisServer, Service, until
from tests.system.replays import SERIES, Run, client_of, points_of, post_until_acknowledged

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

SHUTDOWN_SECONDS = 8
GRACE_SECONDS = 4  # for a loaded machine to end a process
ALERTS, ALERT_BYTES = 200, 100_000  # more than the buffers of a socket take


def test_requests_in_flight_are_answered_and_the_exit_is_orderly(
    bundle_folder: Path, tmp_path: Path
) -> None:
    run = Run()
    with Service(bundle_folder, tmp_path) as service, ThreadPoolExecutor(2) as pool:
        with client_of(service) as one, client_of(service) as other:
            answers = [
                pool.submit(post_until_acknowledged, client, points_of(series), run)
                for client, series in zip((one, other), SERIES, strict=True)
            ]
            until(lambda: "\ngaugewatch_queued_points 0.0" not in service.get("/metrics"), "work")
            service.terminate()
            for answer in answers:
                answer.result(30)
        assert service.process.wait(SHUTDOWN_SECONDS + GRACE_SECONDS) == 0, service.log
    assert run.refusals == []
    assert len(run.verdicts) == sum(len(series.values) for series in SERIES)
    assert "Traceback" not in service.log


def test_a_subscriber_that_does_not_read_cannot_hold_up_the_exit(
    bundle_folder: Path, tmp_path: Path, redis_server: RedisServer
) -> None:
    fill_alert_log(redis_server.url)
    with (
        Service(bundle_folder, tmp_path, redis_url=redis_server.url) as service,
        deaf(service.port),
        connect(f"ws://127.0.0.1:{service.port}/v1/alerts") as reader,
    ):
        reader.recv(10)
        service.terminate()
        with suppress(ConnectionClosed):
            while True:
                reader.recv(20)
        assert reader.close_code == 1012
        assert service.process.wait(SHUTDOWN_SECONDS + GRACE_SECONDS) == 0, service.log
    assert "Traceback" not in service.log


def test_an_open_connection_that_says_nothing_cannot_hold_up_the_exit(
    bundle_folder: Path, tmp_path: Path
) -> None:
    """One kept alive, one in the middle of a body: cut off when the time is over."""
    half_a_request = (
        b"POST /v1/points HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b'Content-Length: 99\r\n\r\n{"points":'
    )
    with (
        Service(bundle_folder, tmp_path, shutdown_seconds=2) as service,
        httpx2.Client(base_url=service.url) as idle,
        socket.create_connection(("127.0.0.1", service.port)) as half,
    ):
        half.sendall(half_a_request)
        idle.get("/livez")
        service.terminate()
        assert service.process.wait(2 + GRACE_SECONDS) == 0, service.log
        answer = half.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b'"code":"overloaded"' in answer
    assert "Traceback" not in service.log


def test_who_asks_learns_of_the_end_while_there_is_somebody_to_ask(
    bundle_folder: Path, tmp_path: Path
) -> None:
    """On new connections, so that no more traffic comes; what comes all the same is answered."""
    with Service(bundle_folder, tmp_path, drain_seconds=3) as service:
        service.terminate()
        until(lambda: service.status("/readyz") == 503, "not ready any more", seconds=3)
        assert service.status("/v1/models") == 200
        assert service.process.wait(3 + GRACE_SECONDS) == 0, service.log


def test_a_stopped_service_starts_again_on_its_data(bundle_folder: Path, tmp_path: Path) -> None:
    points = points_of(SERIES[0])[:50]
    with Service(bundle_folder, tmp_path) as service, client_of(service) as client:
        first, again = Run(), Run()
        post_until_acknowledged(client, points, first)
        service.terminate()
        assert service.process.wait(SHUTDOWN_SECONDS + GRACE_SECONDS) == 0, service.log
        service.start()
        post_until_acknowledged(client, points, again)
    assert again.repeated == len(points)


def fill_alert_log(redis_url: str) -> None:
    alert = '{"text":"' + ALERT_BYTES * "x" + '"}'
    with Redis.from_url(redis_url) as client, client.pipeline() as page:
        for number in range(1, ALERTS + 1):
            page.xadd(alert_stream_key(0), {"entity": "e", "alert": alert}, id=f"{number}-0")
        page.set(alert_count_key(0), ALERTS)
        page.execute()


def deaf(port: int) -> socket.socket:
    """A subscriber that asks for everything and reads nothing."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    connection.connect(("127.0.0.1", port))
    handshake = (
        "GET /v1/alerts?after=earliest HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    connection.sendall(handshake.encode())
    assert connection.recv(12) == b"HTTP/1.1 101"
    return connection
