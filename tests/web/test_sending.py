import socket
from asyncio import Transport
from pathlib import Path
from typing import cast

import pytest

from service.web.sending import Gathered
from tests.system.processes import Service

HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"


class Wire:
    """A transport that remembers what left at once."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def write(self, content: bytes) -> None:
        self.sent.append(content)

    def writelines(self, parts: tuple[bytes, ...]) -> None:
        self.sent.append(b"".join(parts))

    def close(self) -> None:
        self.sent.append(b"closed")

    def is_closing(self) -> bool:
        return b"closed" in self.sent


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ([HEAD, b"{}"], [HEAD + b"{}"]),
        ([HEAD, b""], [HEAD]),
        ([HEAD, b"{", b"}"], [HEAD + b"{", b"}"]),
        ([b"HTTP/1.1 100 Continue\r\n\r\n", HEAD, b"{}"], None),
        ([HEAD, b"HTTP/1.1 in a body"], [HEAD + b"HTTP/1.1 in a body"]),
        ([HEAD], [HEAD]),
    ],
)
def test_head_and_body_leave_together_and_nothing_is_kept(
    written: list[bytes], sent: list[bytes] | None
) -> None:
    wire = Wire()
    gathered = Gathered(cast("Transport", wire))
    for content in written:
        gathered.write(content)
    gathered.close()
    assert wire.sent == [*(sent or [written[0], HEAD + b"{}"]), b"closed"]
    assert gathered.is_closing()


@pytest.mark.slow
def test_who_asks_whether_to_go_on_is_told_before_the_body(
    bundle_folder: Path, tmp_path: Path
) -> None:
    body = b'{"points": []}'
    lines = b"Host: localhost\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n"
    with (
        Service(bundle_folder, tmp_path) as service,
        socket.create_connection(("127.0.0.1", service.port), 10) as client,
    ):
        client.settimeout(10)
        client.sendall(b"POST /v1/points HTTP/1.1\r\n%sContent-Length: 14\r\n\r\n" % lines)
        assert client.recv(100).startswith(b"HTTP/1.1 100 ")
        client.sendall(body)
        assert client.recv(10_000).startswith(b"HTTP/1.1 400 ")
