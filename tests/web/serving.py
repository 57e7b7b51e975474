"""A real server in a thread, on a free port of the loopback."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from service.settings import Settings
from service.web.app import create_app
from service.web.server import server

HOME: Final = "http://127.0.0.1"  # a service without keys answers to names of the loopback only


def settings_for(bundle_folder: Path, data_directory: Path, **chosen: Any) -> Settings:
    """Settings of a small service on an embedded Valkey."""
    chosen = {"default_bundle": "tiny", "durability": "everysec", "port": 0, **chosen}
    chosen = {"drain_seconds": 0, **chosen}
    return Settings(bundles=bundle_folder, data_directory=data_directory, **chosen)


@contextmanager
def serving(settings: Settings) -> Iterator[int]:
    """The port of a running service."""
    running = server(create_app(settings), settings)
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    while not running.started:
        assert thread.is_alive(), "the server did not start"
        time.sleep(0.005)
    try:
        yield running.servers[0].sockets[0].getsockname()[1]
    finally:
        running.should_exit = True
        thread.join(30)
        assert not thread.is_alive(), "the server did not stop"


def raw_exchange(port: int, request: bytes, *, then: bytes = b"") -> bytes:
    """What a server answers to bytes, until it closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(request)
        if then:
            connection.sendall(then)
        answer = b""
        while chunk := connection.recv(65_536):
            answer += chunk
        return answer
