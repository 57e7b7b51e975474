import json
import socket
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from service.errors import BodyTooLarge
from service.settings import Settings
from service.web.body import MAX_DISCARDED_BYTES, Bodies
from tests.web.hostile import body
from tests.web.serving import raw_exchange, serving, settings_for
from tests.web.test_points import JSON

LIMIT = 4 * 2**20


def padded(count: int) -> bytes:
    return body(entity='"padded"').ljust(count)


def head(more: str) -> bytes:
    lines = "POST /v1/points HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return f"{lines}{more}\r\n".encode()


def problem_of(answer: bytes) -> dict[str, object]:
    found: dict[str, object] = json.loads(answer.partition(b"\r\n\r\n")[2])
    return found


@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_body_may_be_as_long_as_the_limit_and_no_longer(port: int, is_chunked: bool) -> None:
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:

        def post(count: int) -> httpx2.Response:
            content = iter([padded(count)]) if is_chunked else padded(count)
            return client.post("/v1/points", content=content, headers=JSON)

        assert post(LIMIT).status_code == 200
        answer = post(LIMIT + 1)
    assert answer.status_code == 413
    assert answer.json()["code"] == "body_too_large"
    assert answer.headers["connection"] == "close"


@pytest.mark.parametrize("is_chunked", [False, True])
def test_fifty_megabytes_are_refused_in_words(port: int, is_chunked: bool) -> None:
    chunks = (b" " * 2**16 for _ in range(800))
    headers = {"content-type": "application/json"}
    if not is_chunked:
        headers["content-length"] = str(800 * 2**16)
    answer = httpx2.post(
        f"http://127.0.0.1:{port}/v1/points", content=chunks, headers=headers, timeout=20
    )
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


@pytest.mark.parametrize("announced", [0, 50_000_000])
async def test_an_endless_body_is_never_kept(announced: int) -> None:
    chunk, received = b" " * 2**16, 0

    async def receive() -> dict[str, object]:
        nonlocal received
        received += len(chunk)
        return {"type": "http.request", "body": chunk, "more_body": True}

    bodies = Bodies(Settings(max_body_bytes=10**6))
    headers = [(b"content-length", str(announced).encode())] if announced else []
    tracemalloc.start()
    with pytest.raises(BodyTooLarge):
        await bodies.read({"type": "http", "headers": headers}, receive)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 2 * 10**6
    assert received < MAX_DISCARDED_BYTES + 2 * 10**6
    assert bodies._buffered_bytes == 0


def test_an_announced_terabyte_is_refused_at_once(port: int) -> None:
    answer = raw_exchange(port, head(f"Content-Length: {2**40}\r\n"))
    assert answer.startswith(b"HTTP/1.1 413")
    assert problem_of(answer)["code"] == "body_too_large"


def test_a_client_that_asks_first_is_not_invited_to_send_too_much(port: int) -> None:
    answer = raw_exchange(port, head(f"Content-Length: {2**30}\r\nExpect: 100-continue\r\n"))
    assert answer.startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize("length", ["-1", "1e3", "0x10", "1" * 30])
def test_a_length_that_is_none_is_refused(port: int, length: str) -> None:
    assert raw_exchange(port, head(f"Content-Length: {length}\r\n")).startswith(b"HTTP/1.1 4")


def test_a_body_that_does_not_come_is_not_waited_for(port: int) -> None:
    answer = raw_exchange(port, head("Content-Length: 100\r\n"), then=b"{")
    assert answer.startswith(b"HTTP/1.1 408")
    assert problem_of(answer)["code"] == "request_timeout"


def test_a_client_that_goes_in_the_middle_harms_nobody(port: int) -> None:
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(head("Content-Length: 100\r\n") + b"{")
    assert httpx2.get(f"http://127.0.0.1:{port}/livez").status_code == 200


@pytest.mark.slow
def test_all_bodies_together_are_bounded(bundle_folder: Path, tmp_path: Path) -> None:
    """Five bodies, each nearly whole, where four may be: one is refused, and may come again."""
    settings = settings_for(
        bundle_folder, tmp_path, max_body_bytes=10_000, max_buffered_bytes=40_000
    )
    with serving(settings) as port:

        def send(_: int) -> bytes:
            with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
                connection.sendall(head("Connection: close\r\nContent-Length: 9500\r\n"))
                connection.sendall(padded(9_499))
                time.sleep(1)
                connection.sendall(b" ")
                return connection.recv(100)

        with ThreadPoolExecutor(5) as pool:
            starts = sorted(answer[:12] for answer in pool.map(send, range(5)))
        assert starts == [b"HTTP/1.1 200"] * 4 + [b"HTTP/1.1 503"]
        assert send(0).startswith(b"HTTP/1.1 200")
