"""The machine under a benchmark: its facts, and its own limits, measured beside every figure.

Limits are what no service on it can pass: the matrix product of ONNX Runtime on one thread, a PING
to Redis, and a few bytes to another process and back.
"""

import os
import platform
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median

import numpy as np
import onnx
import onnxruntime as ort
from msgspec import Struct
from redis import Redis

from benchmarks.stores import redis_server, store_version
from service.scoring.detector import single_threaded

PACKAGES = ("gaugewatch", "onnxruntime", "numpy", "redis", "fastapi", "uvicorn")
GEMM_SIZES = (1024, 2048)
CALLS = 2000  # of PING and echo
MESSAGE = b"x" * 32


class Limits(Struct, frozen=True):
    """Measured just before the benchmark."""

    gemm_gflops: float  # fp32, one thread, the best of some sizes
    redis_ping_us: float  # median round trip through redis-py over a unix socket, as ours
    echo_us: float  # median round trip of 32 bytes over loopback TCP


class Machine(Struct, frozen=True):
    """Facts without which the figures say nothing."""

    measured_at: str
    cpu: str
    cores: int
    load_average_at_start: float
    python: str
    versions: dict[str, str]
    store: str
    limits: Limits

    @property
    def line(self) -> str:
        """In one sentence, as pages and terminals show it."""
        limits = self.limits
        return (
            f"{self.cores} cores of {self.cpu}, {self.store}; limits of this machine in the same "
            f"run: fp32 GEMM {limits.gemm_gflops:.0f} GFLOP/s on one thread, Redis PING "
            f"{limits.redis_ping_us:.0f} µs, loopback echo {limits.echo_us:.0f} µs."
        )


def machine() -> Machine:
    """This machine, now; takes a few seconds."""
    load = os.getloadavg()[0]
    return Machine(
        measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
        cpu=_cpu(),
        cores=len(os.sched_getaffinity(0)),
        load_average_at_start=load,
        python=platform.python_version(),
        versions={name: version(name) for name in PACKAGES},
        store=store_version(),
        limits=Limits(max(gemm_gflops(size) for size in GEMM_SIZES), _redis_ping_us(), _echo_us()),
    )


def gemm_gflops(size: int, *, calls: int = 5) -> float:
    """The best of some fp32 products of two square matrices in ONNX Runtime, one thread."""
    product, feed = gemm(size)
    seconds = [_timed(lambda: product.run(None, feed)) for _ in range(calls)]
    return 2 * size**3 / min(seconds) / 1e9


def gemm(size: int) -> tuple[ort.InferenceSession, dict[str, np.ndarray]]:
    """A session that multiplies by a constant square matrix, and what it is fed."""
    square = np.random.default_rng(0).normal(size=(size, size)).astype(np.float32)
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("MatMul", ["x", "w"], ["y"])],
        "gemm",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [None, size])],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [None, size])],
        [onnx.numpy_helper.from_array(square, "w")],
    )
    opset = [onnx.helper.make_opsetid("", 18)]
    model = onnx.helper.make_model(graph, opset_imports=opset, ir_version=10)
    content = model.SerializeToString()
    session = ort.InferenceSession(content, single_threaded(), providers=["CPUExecutionProvider"])
    return session, {"x": square}


def _redis_ping_us() -> float:
    with (
        tempfile.TemporaryDirectory(prefix="gaugewatch-bench-") as folder,
        redis_server(Path(folder), "none") as store,
        Redis.from_url(store.url) as client,
    ):
        return _median_us(client.ping)


def _echo_us() -> float:
    words = [sys.executable, "-m", "benchmarks.echo"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

            def there_and_back() -> None:
                connection.sendall(MESSAGE)
                connection.recv(4096)

            return _median_us(there_and_back)


def _median_us(call: Callable[[], object]) -> float:
    return 1e6 * median(_timed(call) for _ in range(CALLS))


def _timed(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
