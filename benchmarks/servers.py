"""The processes under measurement: two services and their stores, and the CPU time they take."""

import contextlib
import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from redis import Redis

from benchmarks.load import ENTITIES, Face, Plant
from benchmarks.naive import list_key
from benchmarks.stores import redis_server
from service.scoring.bundle import Bundle

Durability = Literal["always", "everysec"]
START_SECONDS = 60.0
POLL_SECONDS = 0.01
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Running:
    """A service that is ready, with its store."""

    name: str
    face: Face
    plant: Plant
    service_pid: int
    store_pid: int
    start_seconds: float = 0.0  # of the service, until it was ready

    def cpu_seconds(self) -> tuple[float, float]:
        """CPU time of service and store since they started."""
        return cpu_seconds(self.service_pid), cpu_seconds(self.store_pid)


@contextlib.contextmanager
def gaugewatch(bundle: Bundle, durability: Durability, folder: Path) -> Iterator[Running]:
    """Our service, started as a user starts it."""
    words = ["service.cli", "serve", "--bundles", str(bundle.folder.parents[1])]
    words += ["--durability", durability]
    environment = {"GAUGEWATCH_DEFAULT_BUNDLE": bundle.manifest.name}
    with _store(folder, durability) as (url, store_pid):
        words += ["--redis-url", url]
        with _process(words, folder / "service.log", environment) as (port, pid, seconds):
            face = Face(port, "/v1/points", (b'{"points":[', b"]}"), takes_packed=True)
            yield Running("gaugewatch", face, Plant(bundle), pid, store_pid, seconds)


@contextlib.contextmanager
def naive(bundle: Bundle, durability: Durability, folder: Path) -> Iterator[Running]:
    """The naive service, on full windows."""
    words = ["benchmarks.naive", "--bundle", str(bundle.folder)]
    with _store(folder, durability) as (url, store_pid):
        _fill_windows(url, bundle)
        words += ["--redis-url", url]
        with _process(words, folder / "service.log", {}) as (port, pid, seconds):
            face = Face(port, "/v1/point", (b"", b""))
            yield Running("naive", face, Plant(bundle), pid, store_pid, seconds)


@contextlib.contextmanager
def _store(folder: Path, durability: Durability) -> Iterator[tuple[str, int]]:
    with redis_server(folder / "store", durability) as store:
        yield store.url, store.pid


@contextlib.contextmanager
def _process(
    words: list[str], log_path: Path, environment: dict[str, str]
) -> Iterator[tuple[int, int, float]]:
    """Port and process id of a Python module that serves, and the seconds until it did."""
    port, start = free_port(), time.perf_counter()
    command = [sys.executable, "-m", *words, "--port", str(port)]
    with process(command, port, log_path, environment=environment) as pid:
        yield port, pid, time.perf_counter() - start


@contextlib.contextmanager
def process(
    command: list[str],
    port: int,
    log_path: Path,
    *,
    environment: dict[str, str],
    ready_path: str = "/readyz",
) -> Iterator[int]:
    """Process id of a command that serves HTTP at a port, once it says that it is ready."""
    kept = {name: value for name, value in os.environ.items() if "GAUGEWATCH" not in name}
    with log_path.open("wb") as log:
        started = subprocess.Popen(command, env=kept | environment, stdout=log, stderr=log)
    try:
        _wait_until_ready(f"127.0.0.1:{port}", ready_path, started, log_path)
        yield started.pid
    finally:
        started.terminate()
        started.wait()


def _wait_until_ready(
    address: str, path: str, process: "subprocess.Popen[bytes]", log_path: Path
) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        connection = http.client.HTTPConnection(address, timeout=1)
        with contextlib.suppress(OSError), contextlib.closing(connection):
            connection.request("GET", path)
            if connection.getresponse().status == 200:
                return
        time.sleep(POLL_SECONDS)
    raise RuntimeError(f"{process.args!r} did not start:\n{log_path.read_text()[-2000:]}")


def free_port() -> int:
    """One that nobody listens at now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _fill_windows(url: str, bundle: Bundle) -> None:
    values = Plant(bundle).values - bundle.calibration.center[0]
    rows = [row.tobytes() for row in values.astype(np.float32)]
    window = [rows[i % len(rows)] for i in range(bundle.manifest.window_length)]
    with Redis.from_url(url) as client:
        for entity in ENTITIES:
            client.rpush(list_key(entity), *window)


def cpu_seconds(pid: int) -> float:
    """CPU time of a process since it started."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND  # utime + stime
