"""The open loop charges a stall to everybody who was due meanwhile, and loses nobody."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from benchmarks.load import Face, Plant
from benchmarks.open_loop import OpenLoop
from service.scoring.bundle import Bundle
from tests.builders import loaded_tiny_bundle

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
STALL_SECONDS = 0.3


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return loaded_tiny_bundle(tmp_path_factory.mktemp("open-loop"))


@contextlib.contextmanager
def server(*, stalls_at: float, answers: bool = True) -> Iterator[int]:
    """Port of a server that answers at once but for one stall, counted from its first request."""
    began: list[float] = []

    def serve(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            while connection.recv(65_536):
                began.append(time.perf_counter())
                since = time.perf_counter() - began[0]
                if stalls_at <= since < stalls_at + STALL_SECONDS:
                    time.sleep(stalls_at + STALL_SECONDS - since)
                if answers:
                    connection.sendall(ANSWER)

    def accept(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener:
        accepting = threading.Thread(target=accept, args=(listener,), daemon=True)
        accepting.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        accepting.join()


def face(port: int) -> Face:
    return Face(port, "/v1/points", (b'{"points":[', b"]}"))


def opened(port: int, bundle: Bundle) -> contextlib.closing[OpenLoop]:
    return contextlib.closing(OpenLoop(face(port), Plant(bundle)))


@pytest.mark.slow
def test_a_stall_is_charged_to_everybody_who_was_due_meanwhile(bundle: Bundle) -> None:
    with server(stalls_at=0.3) as port, opened(port, bundle) as loop:
        found = loop.run(200, seconds=1.0)
    assert found.due == found.answered == len(found.latencies_ms) == 200
    charged = sum(ms > 1000 * STALL_SECONDS / 10 for ms in found.latencies_ms)
    assert 0.6 * 200 * STALL_SECONDS < charged < 1.6 * 200 * STALL_SECONDS
    assert found.latency_ms(50) < 100


@pytest.mark.slow
def test_who_is_never_answered_counts_as_so_late(bundle: Bundle) -> None:
    with server(stalls_at=9.0, answers=False) as port, opened(port, bundle) as loop:
        found = loop.run(200, seconds=0.2)
    assert found.answered == 0
    assert len(found.latencies_ms) == found.due == 40
    assert min(found.latencies_ms) >= 900
