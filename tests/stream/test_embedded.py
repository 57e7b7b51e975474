"""The embedded server: starts, keeps, stops, and dies with us."""

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from threading import Thread
from typing import Literal

import pytest
from redis import Redis

from service.errors import StoreMisconfigured
from service.stream.embedded import EmbeddedValkey, valkey_binary
from service.stream.store import Store, StoreOptions

PARENT = """
import sys, time
from pathlib import Path
from service.stream.embedded import EmbeddedValkey
with EmbeddedValkey(Path(sys.argv[1])) as server:
    print(server.pid, server.url, flush=True)
    time.sleep(600)
"""


def is_running(pid: int) -> bool:
    """Zombies do not count: whoever inherits them may be slow to bury them."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until_gone(pid: int) -> bool:
    deadline = time.monotonic() + 10
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not is_running(pid)


def test_data_survive_a_restart_and_the_server_does_not(tmp_path: Path) -> None:
    server = EmbeddedValkey(tmp_path)
    with server, Redis.from_url(server.url) as client:
        first_pid = server.pid
        client.set("kept", "yes")
    assert first_pid is not None
    assert not is_running(first_pid)
    assert server.pid is None
    with server, Redis.from_url(server.url) as client:
        assert client.get("kept") == b"yes"


def test_data_survive_a_killed_server(tmp_path: Path) -> None:
    server = EmbeddedValkey(tmp_path)
    with server, Redis.from_url(server.url) as client:
        client.set("kept", "yes")
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
    with server, Redis.from_url(server.url) as client:
        assert client.get("kept") == b"yes"


@pytest.mark.parametrize("durability", ["always", "everysec"])
def test_the_store_accepts_it_with_the_durability_asked_for(
    tmp_path: Path, durability: Literal["always", "everysec"]
) -> None:
    with EmbeddedValkey(tmp_path, durability=durability) as server:
        store = Store(server.url, StoreOptions(durability=durability))
        store.check()
        store.close()
        with Redis.from_url(server.url) as client:
            assert client.config_get("appendfsync") == {"appendfsync": durability}


def test_nobody_else_may_come_near(tmp_path: Path) -> None:
    with EmbeddedValkey(tmp_path / "data") as server:
        assert stat.S_IMODE(server.directory.stat().st_mode) == 0o700
        assert stat.S_IMODE(server.socket_path.stat().st_mode) == 0o700
        with Redis.from_url(server.url) as client:
            assert client.config_get("port") == {"port": "0"}


def test_a_long_folder_name_gets_a_socket_elsewhere(tmp_path: Path) -> None:
    folder = tmp_path / ("long name % " * 10)
    with EmbeddedValkey(folder) as server, Redis.from_url(server.url) as client:
        assert client.ping()
        assert not server.socket_path.is_relative_to(folder)
    server.socket_path.parent.rmdir()


@pytest.mark.slow
def test_a_folder_in_use_is_refused_and_its_server_left_alone(tmp_path: Path) -> None:
    with EmbeddedValkey(tmp_path) as server:
        with pytest.raises(StoreMisconfigured, match=r"another process.*fix"):
            EmbeddedValkey(tmp_path).__enter__()
        with Redis.from_url(server.url) as client:
            assert client.ping()


def test_a_server_that_cannot_start_shows_the_end_of_its_log(tmp_path: Path) -> None:
    log = tmp_path / "appendonlydir"
    log.mkdir()
    (log / "appendonly.aof.manifest").write_text("not a manifest\n")
    with pytest.raises(StoreMisconfigured, match=r"did not start(?s:.*)manifest"):
        EmbeddedValkey(tmp_path).__enter__()


def test_a_server_that_takes_too_long_is_stopped(tmp_path: Path) -> None:
    server = EmbeddedValkey(tmp_path, start_seconds=0)
    with pytest.raises(StoreMisconfigured, match="did not start"):
        server.__enter__()
    assert server.pid is None


def test_stopping_twice_is_harmless(tmp_path: Path) -> None:
    with EmbeddedValkey(tmp_path) as server:
        server.stop()
        server.stop()


def test_the_server_survives_a_thread_that_started_it(tmp_path: Path) -> None:
    """PR_SET_PDEATHSIG would not."""
    server = EmbeddedValkey(tmp_path)
    starter = Thread(target=server.__enter__)
    starter.start()
    starter.join()
    with Redis.from_url(server.url) as client:
        assert client.ping()
    server.stop()


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_it_never_outlives_its_parent(tmp_path: Path, how: signal.Signals) -> None:
    command = [sys.executable, "-c", PARENT, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid_text, url = parent.stdout.readline().split()
        with Redis.from_url(url) as client:
            client.set("kept", "yes")
        parent.send_signal(how)
    assert wait_until_gone(int(pid_text))
    with EmbeddedValkey(tmp_path) as server, Redis.from_url(server.url) as client:
        assert client.get("kept") == b"yes"


def test_the_binary_is_found() -> None:
    assert os.access(valkey_binary(), os.X_OK)
