import json
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import msgspec
import pytest

from tests.cli.commands import Finished, assert_refused, called
from tests.system.processes import ROOT, Service, environment, free_port, until
from tests.system.replays import (
    SERIES,
    Run,
    alert_log,
    by_entity,
    client_of,
    interleaved,
    post_until_acknowledged,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

Call = Callable[..., Finished]
KEY = "a-long-enough-key-1"


@pytest.fixture(scope="module")
def service(bundle_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """With alerts in its log."""
    folder = tmp_path_factory.mktemp("watch")
    with (
        Service(bundle_folder, folder, durability="everysec") as service,
        client_of(service) as client,
    ):
        post_until_acknowledged(client, interleaved(SERIES)[:300], Run())
        yield service


@pytest.fixture
def watch(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, service: Service
) -> Call:
    return partial(called, capsys, monkeypatch, "watch", "--url", service.url)


def alert_of(line: str) -> bytes:
    return msgspec.json.encode(msgspec.json.decode(line.encode(), type=dict[str, object])["alert"])


def test_json_is_one_alert_a_line_and_the_command_ends_after_so_many(
    watch: Call, service: Service
) -> None:
    alerts = alert_log(service.redis_url)
    count = sum(map(len, alerts.values()))
    assert count > 6
    ended = watch("--after", "earliest", "--json", "--count", str(count))
    assert (ended.code, ended.err) == (0, "")
    lines = ended.out.splitlines()
    assert [set(json.loads(line)) for line in lines] == [{"cursor", "alert"}] * count
    assert by_entity(map(alert_of, lines)) == alerts


def test_a_cursor_resumes_after_its_alert(watch: Call) -> None:
    whole = watch("--after", "earliest", "--json", "--count", "6").out.splitlines()
    cursor = json.loads(whole[1])["cursor"]
    rest = watch("--after", cursor, "--json", "--count", "4").out.splitlines()
    assert rest == whole[2:]


def test_a_killed_watch_resumes_by_the_last_cursor_it_said(service: Service, watch: Call) -> None:
    whole = watch("--after", "earliest", "--json", "--count", "6").out.splitlines()
    words = ["watch", "--url", service.url, "--after", "earliest", "--json"]
    command = [sys.executable, "-m", "service.cli", *words]
    with subprocess.Popen(
        command, env=environment(), cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        first = [process.stdout.readline().strip() for _ in range(3)]
        process.kill()
    cursor = json.loads(first[-1])["cursor"]
    rest = watch("--after", cursor, "--json", "--count", "3").out.splitlines()
    assert first + rest == whole


def test_people_see_lines_with_causes(watch: Call) -> None:
    ended = watch("--after", "earliest", "--count", "3")
    lines = ended.out.splitlines()
    assert len(lines) == 3
    assert "opened" in lines[0]
    assert "expected" in lines[0]


def test_watch_misses_nothing_while_a_service_is_restarted(
    bundle_folder: Path, tmp_path: Path
) -> None:
    """It has seen no alert before, and some come before it has come back."""
    with (
        Service(bundle_folder, tmp_path) as service,
        client_of(service) as client,
        subprocess.Popen(
            [sys.executable, "-m", "service.cli", "watch", "--url", service.url, "--json"],
            env=environment(),
            cwd=ROOT,
            stdout=subprocess.PIPE,
        ) as process,
    ):
        until(lambda: "\ngaugewatch_subscribers 1.0" in service.get("/metrics"), "watch")
        service.kill()
        service.start()
        post_until_acknowledged(client, interleaved(SERIES)[:200], Run())
        alerts = alert_log(service.redis_url)
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(sum(map(len, alerts.values())))]
        process.kill()
    assert by_entity(alert_of(line.decode()) for line in said) == alerts


def test_who_answers_something_else_is_one_line(watch: Call) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, ThreadPoolExecutor(1) as pool:
        pool.submit(say_hello, other)
        url = f"http://127.0.0.1:{other.getsockname()[1]}"
        assert_refused(watch("--url", url), 1, "no service answers")


def say_hello(server: socket.socket) -> None:
    connection, _ = server.accept()
    with connection:
        connection.sendall(b"+HELLO\r\n")


def test_no_service_is_one_line(watch: Call) -> None:
    assert_refused(watch("--url", f"http://127.0.0.1:{free_port()}"), 1, "no service answers")


@pytest.mark.parametrize("after", ["x", "earliest&entity=nobody", "earliest#", "a b+%00"])
def test_a_cursor_that_is_none_is_one_line(watch: Call, after: str) -> None:
    assert_refused(watch("--after", after), 1, "bad_cursor")


@pytest.mark.parametrize("url", ["nonsense", "https://127.0.0.1", "http://"])
def test_an_address_that_is_none_is_one_line(watch: Call, url: str) -> None:
    assert_refused(watch("--url", url), 2, "bad_input", "URL")


def test_a_missing_key_is_one_line(watch: Call, bundle_folder: Path, tmp_path: Path) -> None:
    with Service(bundle_folder, tmp_path, api_keys=KEY) as locked:
        assert_refused(watch("--url", locked.url), 2, "not_authorised")
        wrong = watch("--url", locked.url, "--key", "not-the-key-at-all")
        assert_refused(wrong, 2, "not_authorised")
