"""Heads that are too long, requests that are too slow: refused, closed, and nobody is disturbed."""

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import httpx2
import pytest

from service.web.receiving import MAX_HEAD_BYTES, MAX_HEADERS
from tests.web.serving import raw_exchange, serving, settings_for

FIRST: Final = b"GET /livez HTTP/1.1\r\n"
HOST: Final = b"Host: localhost\r\n"
CLOSE: Final = b"Connection: close\r\n"
SECONDS: Final = 0.5
PATIENCE: Final = 10.0  # a loaded machine may take so much longer


@pytest.fixture(scope="module")
def hasty(bundle_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A server that waits half a second for a head, and as long for a body."""
    folder = tmp_path_factory.mktemp("data")
    limits = {"head_seconds": SECONDS, "receive_seconds": SECONDS}
    with serving(settings_for(bundle_folder, folder, **limits)) as port:
        yield port


def with_head_bytes(count: int) -> bytes:
    """A request whose target, names and values are so long together."""
    known = len(b"/livez" + b"hostlocalhost" + b"connectionclose" + b"x")
    return FIRST + HOST + CLOSE + b"X: " + b"x" * (count - known) + b"\r\n\r\n"


def with_headers(count: int) -> bytes:
    more = b"".join(b"X-%d: 1\r\n" % number for number in range(count - 2))
    return FIRST + HOST + CLOSE + more + b"\r\n"


def test_a_head_may_be_as_long_as_the_limit_and_no_longer(port: int) -> None:
    assert raw_exchange(port, with_head_bytes(MAX_HEAD_BYTES)).startswith(b"HTTP/1.1 200")
    assert raw_exchange(port, with_head_bytes(MAX_HEAD_BYTES + 1)).startswith(b"HTTP/1.1 431")


def test_a_target_counts_too(port: int) -> None:
    target = b"GET /livez?" + b"x" * MAX_HEAD_BYTES + b" HTTP/1.1\r\n"
    assert raw_exchange(port, target + HOST + b"\r\n").startswith(b"HTTP/1.1 431")


def test_there_may_be_as_many_headers_as_the_limit_and_no_more(port: int) -> None:
    assert raw_exchange(port, with_headers(MAX_HEADERS)).startswith(b"HTTP/1.1 200")
    assert raw_exchange(port, with_headers(MAX_HEADERS + 1)).startswith(b"HTTP/1.1 431")


def test_a_header_without_an_end_is_not_kept(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(FIRST + HOST + b"X: ")
        sent, answer = 0, b""
        try:
            while sent < 2**26:
                sent += connection.send(b"x" * 2**16)
            answer = connection.recv(100)
        except OSError:
            pass  # closed while we were still sending
    assert sent < 2**25
    assert answer.startswith(b"HTTP/1.1 431") or not answer


def test_a_connection_that_says_nothing_is_closed(hasty: int) -> None:
    start = time.monotonic()
    assert raw_exchange(hasty, b"").startswith(b"HTTP/1.1 408")
    assert SECONDS * 0.9 < time.monotonic() - start < SECONDS + PATIENCE


@pytest.mark.parametrize("begin", [FIRST, FIRST + HOST + b"X-Slow: "])
def test_a_head_that_comes_byte_by_byte_is_cut_off(hasty: int, begin: bytes) -> None:
    answer, seconds = trickled(hasty, begin)
    assert answer.startswith(b"HTTP/1.1 408")
    assert seconds < SECONDS + PATIENCE


def test_the_second_head_on_a_connection_is_timed_too(hasty: int) -> None:
    answer, _ = trickled(hasty, FIRST + HOST + b"\r\n" + FIRST)
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"HTTP/1.1 408" in answer


def test_a_body_that_comes_byte_by_byte_is_cut_off(hasty: int) -> None:
    head = b"POST /v1/points HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n"
    answer, seconds = trickled(hasty, head + b"Content-Length: 100000\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 408")
    assert seconds < SECONDS + PATIENCE


def test_a_body_that_nobody_reads_is_cut_off_too(hasty: int) -> None:
    answer, seconds = trickled(hasty, FIRST + HOST + b"Content-Length: 100000\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200")
    assert seconds < 2 * SECONDS + PATIENCE


@pytest.mark.slow
def test_five_hundred_slow_clients_disturb_nobody(hasty: int) -> None:
    with ExitStack() as stack, httpx2.Client(base_url=f"http://127.0.0.1:{hasty}") as client:
        for _ in range(500):
            slow = stack.enter_context(socket.create_connection(("127.0.0.1", hasty)))
            slow.sendall(FIRST)
        assert [client.get("/livez").status_code for _ in range(100)] == [200] * 100


def test_what_is_sent_in_one_piece_is_answered_in_order(port: int) -> None:
    """Requests behind each other, of which the limits count each by itself."""
    request = FIRST + HOST + b"X: " + b"x" * (MAX_HEAD_BYTES // 2) + b"\r\n\r\n"
    last = FIRST + HOST + CLOSE + b"\r\n"
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(raw_exchange, port, request * 5 + last).result(20)
    assert answer.count(b"HTTP/1.1 200") == 6


def trickled(port: int, begin: bytes) -> tuple[bytes, float]:
    """What is answered to a byte now and then, and after how many seconds it was over."""
    start, answer = time.monotonic(), b""
    with socket.create_connection(("127.0.0.1", port), timeout=0.05) as connection:
        connection.sendall(begin)
        while time.monotonic() < start + 3 * PATIENCE:
            try:
                connection.send(b"x")
                if not (piece := connection.recv(65_536)):
                    break
                answer += piece
            except TimeoutError:
                continue
            except OSError:
                break
    return answer, time.monotonic() - start
