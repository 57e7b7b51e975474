import json
import signal
import socket
import struct
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest
from redis import Redis
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from service.stream.keys import alert_count_key, alert_stream_key
from tests.builders import PERIOD_MS, START_MS, values_like
from tests.web.serving import serving, settings_for

FLOOD = 200


def received(socket: ClientConnection) -> dict[str, Any]:
    """The next message that is no heartbeat."""
    while True:
        message: dict[str, Any] = json.loads(socket.recv(10))
        if "heartbeat" not in message:
            return message


def provoke(port: int, entity: str, *, start: int, count: int) -> list[dict[str, Any]]:
    """Post points with a fault in their middle; returns the verdicts that say something."""
    values = values_like(entity, count)
    values[count // 2, 1] += 40.0
    columns = {
        "entity": entity,
        "timestamp_ms": [START_MS + PERIOD_MS * i for i in range(start, start + count)],
        "values": values.tolist(),
    }
    answer = httpx2.post(f"http://127.0.0.1:{port}/v1/points", json=columns, timeout=20)
    verdicts: list[dict[str, Any]] = answer.json()["verdicts"]
    return [verdict for verdict in verdicts if "transition" in verdict]


def url(port: int, query: str = "") -> str:
    return f"ws://127.0.0.1:{port}/v1/alerts{query}"


def close_of(socket: ClientConnection, *, pause_seconds: float = 0) -> tuple[int | None, str]:
    with suppress(ConnectionClosed):
        while True:
            socket.recv(10)
            time.sleep(pause_seconds)
    return socket.close_code, socket.close_reason or ""


def test_alerts_come_as_they_happen_and_a_cursor_resumes_after_them(port: int) -> None:
    with connect(url(port, "?entity=alpha")) as live:
        first = json.loads(live.recv(10))
        assert abs(first["heartbeat"] / 1000 - time.time()) < 60
        told = provoke(port, "alpha", start=0, count=40)
        messages = [received(live) for _ in told]
    assert [one["alert"]["kind"] for one in messages] == [one["transition"] for one in told]
    assert [one["alert"]["incident"] for one in messages] == [one["incident"] for one in told]
    assert messages[0]["alert"]["causes"][0]["dimension"] == "b"
    with connect(url(port, f"?entity=alpha&after={first['cursor']}")) as again:
        assert [received(again) for _ in told] == messages
    with connect(url(port, f"?entity=alpha&after={messages[0]['cursor']}")) as rest:
        assert [received(rest) for _ in told[1:]] == messages[1:]
        heartbeat = json.loads(rest.recv(10))
        assert set(heartbeat) == {"heartbeat", "cursor"}
    with connect(url(port, f"?after={heartbeat['cursor']}")) as later:
        json.loads(later.recv(10))
        assert set(json.loads(later.recv(10))) == {"heartbeat", "cursor"}, "nothing is left to say"


def test_the_heartbeat_of_a_quiet_entity_moves_past_the_alerts_of_others(port: int) -> None:
    with connect(url(port, "?entity=quiet")) as quiet:
        first = json.loads(quiet.recv(10))
        told = provoke(port, "beta", start=0, count=40)
        time.sleep(0.3)
        quiet.recv(10)
        later = json.loads(quiet.recv(10))
    assert told
    assert later["cursor"] != first["cursor"]
    with connect(url(port, f"?after={later['cursor']}")) as rest:
        assert "heartbeat" in json.loads(rest.recv(10))
        assert "heartbeat" in json.loads(rest.recv(10))


@pytest.mark.parametrize("after", ["x", "%00", "%ff", "AAAA", "9" * 7_000, "\u0661", "-1"])
def test_a_cursor_that_we_never_gave_is_refused(port: int, after: str) -> None:
    with connect(url(port, f"?after={after}")) as refused:
        assert close_of(refused) == (4400, "bad_cursor")


def test_an_entity_that_cannot_be_is_refused(port: int) -> None:
    with connect(url(port, "?entity=%00")) as refused:
        assert close_of(refused) == (4400, "bad_input")


@pytest.mark.parametrize("query", ["?since=earliest", "?entity=a&rows=3"])
def test_a_parameter_that_we_do_not_know_is_refused(port: int, query: str) -> None:
    """A cursor under a wrong name would mean `from now on`, and lose alerts."""
    with connect(url(port, query)) as refused:
        assert close_of(refused) == (4400, "bad_input")


def test_what_a_subscriber_says_is_ignored_and_bounded(port: int) -> None:
    with connect(url(port)) as talker:
        for _ in range(200):
            talker.send("x" * 1_000)
            talker.send(b"\x00\xff")
        for _ in range(3):
            assert "heartbeat" in json.loads(talker.recv(10))
    with connect(url(port)) as shouter:
        shouter.recv(10)
        shouter.send("x" * 100_000)
        assert close_of(shouter)[0] == 1009


def test_subscribers_are_counted_and_bounded(bundle_folder: Path, tmp_path: Path) -> None:
    settings = settings_for(bundle_folder, tmp_path, max_subscribers=2)
    with serving(settings) as port:
        with connect(url(port)) as one, connect(url(port)) as other:
            one.recv(10)
            other.recv(10)
            until_subscribers(port, 2)
            with connect(url(port)) as third:
                assert close_of(third) == (1013, "overloaded")
        until_subscribers(port, 0)
        with connect(url(port)) as fourth:
            assert "heartbeat" in json.loads(fourth.recv(10))


def test_a_gap_is_told(bundle_folder: Path, tmp_path: Path) -> None:
    settings = settings_for(bundle_folder, tmp_path, shards=1)
    with serving(settings) as port, connect(url(port)) as live:
        live.recv(10)
        told = provoke(port, "alpha", start=0, count=40)
        cursor, *_ = [received(live)["cursor"] for _ in told]
        forget_alerts(tmp_path)
        with connect(url(port, f"?after={cursor}")) as resumed:
            assert received(resumed)["gap"] == {"missed": len(told) - 1}


def forget_alerts(data_directory: Path) -> None:
    with Redis(unix_socket_path=str(data_directory / "valkey" / "valkey.sock")) as redis:
        assert redis.xtrim(alert_stream_key(0), maxlen=0, approximate=False)


def deaf(port: int, query: str = "") -> socket.socket:
    """A subscriber with a small receive buffer that shakes hands and never reads again."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    connection.connect(("127.0.0.1", port))
    handshake = (
        f"GET /v1/alerts{query} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    connection.sendall(handshake.encode())
    assert connection.recv(12) == b"HTTP/1.1 101"
    return connection


@pytest.mark.slow
@pytest.mark.parametrize("after", ["", "?after=earliest"])
def test_a_subscriber_that_never_reads_is_cut_and_the_others_miss_nothing(
    bundle_folder: Path, tmp_path: Path, after: str
) -> None:
    """By its full queue while alerts come, or by the time a message of its history takes."""
    queue, send_seconds = (20, 60) if not after else (1_000, 0.5)
    settings = settings_for(
        bundle_folder, tmp_path, shards=1, subscriber_queue=queue, send_seconds=send_seconds
    )
    with (
        serving(settings) as port,
        connect(url(port), max_size=None) as awake,
        ThreadPoolExecutor(1) as pool,
    ):
        awake.recv(10)
        numbers = pool.submit(lambda: [received(awake)["alert"]["number"] for _ in range(FLOOD)])
        if after:
            flood(tmp_path)
        with deaf(port, after) as asleep:
            if not after:
                flood(tmp_path)
            assert numbers.result(30) == list(range(1, FLOOD + 1))
            until_subscribers(port, 1)
            assert is_cut(asleep)


@pytest.mark.slow
def test_a_slow_subscriber_is_told_so(bundle_folder: Path, tmp_path: Path) -> None:
    settings = settings_for(bundle_folder, tmp_path, shards=1, subscriber_queue=3)
    with (
        serving(settings) as port,
        connect(url(port), max_size=None, max_queue=1) as slow,
        ThreadPoolExecutor(1) as pool,
    ):
        slow.recv(10)
        closing = pool.submit(close_of, slow, pause_seconds=0.02)
        flood(tmp_path)
        assert closing.result(30) == (1013, "subscriber_too_slow")


def flood(data_directory: Path) -> None:
    """Write alerts of 100 kB into the log, past the service, in pages as commits would."""
    with Redis(unix_socket_path=str(data_directory / "valkey" / "valkey.sock")) as redis:
        for number in range(1, FLOOD + 1):
            alert = json.dumps({"number": number, "text": 100_000 * "x"})
            with redis.pipeline() as page:
                page.xadd(alert_stream_key(0), {"entity": "e", "alert": alert}, id=f"{number}-0")
                page.set(alert_count_key(0), number)
                page.execute()
            time.sleep(0.005)


def until_subscribers(port: int, count: int) -> None:
    deadline = time.monotonic() + 30
    wanted = f"\ngaugewatch_subscribers {count}.0\n"
    while wanted not in httpx2.get(f"http://127.0.0.1:{port}/metrics").text:
        assert time.monotonic() < deadline, f"expected {count} subscribers"
        time.sleep(0.05)


def is_cut(connection: socket.socket) -> bool:
    """Whether the other side is really gone, and does not wait for us to read."""
    for _ in range(100):
        try:
            connection.send(b"x")
        except (ConnectionResetError, BrokenPipeError):
            return True
        time.sleep(0.05)
    return False


@pytest.mark.slow
def test_a_stop_says_come_back_later_and_ends_in_time(bundle_folder: Path, tmp_path: Path) -> None:
    """SIGTERM to a real process, with a subscriber that reads and one that does not."""
    script = (
        "import sys; from pathlib import Path; from tests.web.serving import settings_for;"
        "from service.web.app import create_app; from service.web.server import server;"
        "settings = settings_for(Path(sys.argv[1]), Path(sys.argv[2]), port=int(sys.argv[3]),"
        "shutdown_seconds=1, heartbeat_seconds=0.001);"
        "server(create_app(settings), settings).run()"
    )
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-c", script, str(bundle_folder), str(tmp_path), str(port)]
    with subprocess.Popen(command, cwd=Path(__file__).parents[2]) as process:
        until_up(port)
        asleep = deaf(port)
        with connect(url(port)) as reader:
            reader.recv(10)
            time.sleep(1.0)
            process.send_signal(signal.SIGTERM)
            assert close_of(reader)[0] == 1012
        assert process.wait(15) in (0, -signal.SIGTERM)
        asleep.close()


def until_up(port: int) -> None:
    for _ in range(200):
        try:
            httpx2.get(f"http://127.0.0.1:{port}/livez")
        except httpx2.TransportError:
            time.sleep(0.05)
        else:
            return
    pytest.fail("the service did not start")


def test_a_subscriber_that_resets_its_connection_harms_nobody(port: int) -> None:
    for _ in range(3):
        connection = deaf(port)
        linger = struct.pack("ii", 1, 0)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        connection.close()
    with connect(url(port)) as other:
        assert "heartbeat" in json.loads(other.recv(10))
