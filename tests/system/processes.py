"""Real processes: the service by its own command, Debian's redis-server, and how they die."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx2
from redis import Redis
from redis.exceptions import RedisError

from tests.programs import program

ROOT = Path(__file__).parents[2]
FIRST_PORT, PORTS = 10_000, 10_000  # nodes of a cluster take the port 10,000 above theirs, too
_given: set[int] = {10_080}  # to this one no browser connects
PATIENCE_SECONDS = 60.0  # for a loaded machine; nothing waits so long when it works


def until(is_so: Callable[[], object], what: str, *, seconds: float = PATIENCE_SECONDS) -> None:
    """Poll until it is so."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s for: {what}"
        time.sleep(0.01)


def free_port() -> int:
    """One that nobody listens at, below those that connections are given.

    Such a one could be taken by a connection before the server that it is for has started. None
    is given twice, and no two of up to four workers are given the same.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    while True:
        port = FIRST_PORT + 4 * secrets.randbelow(PORTS // 4) + worker % 4
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            if port not in _given:
                _given.add(port)
                return port


def answer_of(url: str, **parameters: str) -> httpx2.Response | None:
    """The answer to a GET, None where nobody answers."""
    try:
        return httpx2.get(url, params=parameters, timeout=10)
    except httpx2.TransportError:
        return None


def status_of(url: str) -> int | None:
    """HTTP status of a GET, None where nobody answers."""
    answer = answer_of(url)
    return None if answer is None else answer.status_code


def environment(settings: Mapping[str, object] | None = None) -> dict[str, str]:
    """Ours without its settings, with these."""
    kept = {name: value for name, value in os.environ.items() if "GAUGEWATCH" not in name}
    chosen = {f"GAUGEWATCH_{name.upper()}": str(value) for name, value in (settings or {}).items()}
    return {**kept, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), **chosen}


class Service:
    """`gaugewatch serve` on a port that it keeps over restarts; gone at the end of `with`."""

    def __init__(self, bundles: Path, folder: Path, **settings: object) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.redis_url = str(
            settings.get("redis_url") or f"unix://{folder / 'data' / 'valkey' / 'valkey.sock'}"
        )
        self._log = folder / f"service-{self.port}.log"
        self._environment = environment({"default_bundle": "tiny", **settings})
        self._command = [sys.executable, "-m", "service.cli", "serve", "--port", str(self.port)]
        self._command += ["--bundles", str(bundles), "--data-directory", str(folder / "data")]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    @property
    def log(self) -> str:
        return self._log.read_text()

    def start(self) -> None:
        """Start, or start again on the same data; returns when it is ready."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, env=self._environment, cwd=ROOT, stdout=log, stderr=log
            )
        until(self._has_come_up, "the service to be ready")

    def kill(self) -> None:
        """Kill -9."""
        self.process.kill()
        self.process.wait()

    def terminate(self) -> None:
        """SIGTERM; does not wait."""
        self.process.send_signal(signal.SIGTERM)

    def status(self, path: str) -> int | None:
        """HTTP status of a GET, None where nobody answers."""
        return status_of(self.url + path)

    def get(self, path: str) -> str:
        return httpx2.get(self.url + path, timeout=10).raise_for_status().text

    def _has_come_up(self) -> bool:
        assert self.process.poll() is None, self.log[-3_000:]
        return self.status("/readyz") == 200


class RedisServer:
    """Debian's redis-server, or another, that answers when it is on disk.

    Keeps port and data over restarts.
    """

    def __init__(
        self,
        folder: Path,
        *,
        binary: Path | None = None,
        port: int | None = None,
        options: Mapping[str, object] | None = None,
    ) -> None:
        """`options` of the server win over ours."""
        folder.mkdir(parents=True, exist_ok=True)
        self._binary, self._options = binary, dict(options or {})
        self.port = port or free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.kill()

    def start(self) -> None:
        options = {
            "port": self.port,
            "bind": "127.0.0.1",
            "dir": self._folder,
            "appendonly": "yes",
            "appendfsync": "always",
            "save": "",
            "maxmemory-policy": "noeviction",
            "repl-diskless-sync-delay": "0",
            **self._options,
        }
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        binary = self._binary or program("redis-server")
        with (self._folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen([binary, *words], stdout=log, stderr=log)
        until(self._answers, "redis-server to answer")

    def kill(self) -> None:
        """Kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def freeze(self) -> None:
        """It keeps its connections and answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def followed(self) -> dict[str, str]:
        """Options of a replica of it."""
        return {"replicaof": f"127.0.0.1 {self.port}"}

    def said(self) -> dict[str, Any]:
        """INFO replication; empty where nobody answers."""
        try:
            with Redis.from_url(self.url, socket_timeout=1.0) as client:
                return dict(client.info("replication"))
        except RedisError:
            return {}

    def is_in_step(self) -> bool:
        """A replica that has copied everything."""
        return self.said().get("master_link_status") == "up"

    def is_primary(self) -> bool:
        return self.said().get("role") == "master"

    def _answers(self) -> bool:
        return bool(self.said())
