"""The processes under measurement: two services and their stores, and the CPU time they take."""

import contextlib
import http.client
import os
import shutil
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
from service.scoring.bundle import Bundle
from service.stream.embedded import EmbeddedValkey, valkey_binary

Durability = Literal["always", "everysec"]
START_SECONDS = 60.0
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Running:
    """A service that is ready, with its store."""

    name: str
    face: Face
    plant: Plant
    service_pid: int
    store_pid: int

    def cpu_seconds(self) -> tuple[float, float]:
        """CPU time of service and store since they started."""
        return _cpu_seconds(self.service_pid), _cpu_seconds(self.store_pid)


@contextlib.contextmanager
def gaugewatch(bundle: Bundle, durability: Durability, folder: Path) -> Iterator[Running]:
    """Our service, started as a user starts it."""
    words = ["service.cli", "serve", "--bundles", str(bundle.folder.parents[1])]
    words += ["--durability", durability]
    environment = {"GAUGEWATCH_DEFAULT_BUNDLE": bundle.manifest.name}
    with _store(folder, durability) as (url, store_pid):
        words += ["--redis-url", url]
        with _process(words, folder / "service.log", environment) as (port, pid):
            face = Face(port, "/v1/points", (b'{"points":[', b"]}"))
            yield Running("gaugewatch", face, Plant(bundle), pid, store_pid)


@contextlib.contextmanager
def naive(bundle: Bundle, durability: Durability, folder: Path) -> Iterator[Running]:
    """The naive service, on full windows."""
    words = ["benchmarks.naive", "--bundle", str(bundle.folder)]
    with _store(folder, durability) as (url, store_pid):
        _fill_windows(url, bundle)
        words += ["--redis-url", url]
        with _process(words, folder / "service.log", {}) as (port, pid):
            face = Face(port, "/v1/point", (b"", b""))
            yield Running("naive", face, Plant(bundle), pid, store_pid)


def store_binary() -> Path:
    """The machine's redis-server, else the embedded Valkey."""
    found = shutil.which("redis-server")
    return Path(found) if found else valkey_binary()


@contextlib.contextmanager
def _store(folder: Path, durability: Durability) -> Iterator[tuple[str, int]]:
    with EmbeddedValkey(folder / "store", binary=store_binary(), durability=durability) as store:
        assert store.pid is not None
        yield store.url, store.pid


@contextlib.contextmanager
def _process(
    words: list[str], log_path: Path, environment: dict[str, str]
) -> Iterator[tuple[int, int]]:
    """Port and process id of a Python module that serves."""
    port = _free_port()
    kept = {name: value for name, value in os.environ.items() if "GAUGEWATCH" not in name}
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *words, "--port", str(port)],
            env=kept | environment,
            stdout=log,
            stderr=log,
        )
    try:
        _wait_until_ready(port, process, log_path)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait()


def _wait_until_ready(port: int, process: "subprocess.Popen[bytes]", log_path: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
        with contextlib.suppress(OSError), contextlib.closing(connection):
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return
        time.sleep(0.05)
    raise RuntimeError(f"{process.args!r} did not start:\n{log_path.read_text()[-2000:]}")


def _free_port() -> int:
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


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND  # utime + stime
