"""Servers and the sentinels that watch them: three and three real processes."""

import subprocess
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from redis import Redis
from redis.exceptions import RedisError

from tests.programs import program
from tests.system.processes import RedisServer, free_port, until

NAME: Final = "gauges"
QUORUM: Final = 2
CONFIGURATION: Final = """
port {port}
bind 127.0.0.1
dir {folder}
sentinel monitor {name} 127.0.0.1 {primary} {quorum}
sentinel down-after-milliseconds {name} 1000
sentinel failover-timeout {name} 6000
sentinel parallel-syncs {name} 2
"""


class Sentinel:
    """`redis-server --sentinel`, which writes into its own configuration."""

    def __init__(self, folder: Path, primary: RedisServer) -> None:
        folder.mkdir(parents=True)
        self.port, self._folder = free_port(), folder
        self._file = folder / "sentinel.conf"
        words = {"port": self.port, "folder": folder, "name": NAME, "quorum": QUORUM}
        self._file.write_text(CONFIGURATION.format(primary=primary.port, **words))
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        binary = program("redis-server")
        with (self._folder / "sentinel.log").open("ab") as log:
            self._process = subprocess.Popen(
                [binary, str(self._file), "--sentinel"], stdout=log, stderr=log
            )
        until(self.said, "a sentinel to answer")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.kill()

    def kill(self) -> None:
        """Kill -9."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def said(self) -> dict[str, Any]:
        """What it knows of the primary; empty where nobody answers."""
        try:
            with Redis(port=self.port, decode_responses=True, socket_timeout=1.0) as client:
                return dict(client.sentinel_master(NAME))
        except RedisError:
            return {}


class WatchedServers:
    """A primary, two replicas and three sentinels that know all of them."""

    def __init__(self, folder: Path) -> None:
        self.servers = [RedisServer(folder / "server-0")]
        options = self.servers[0].followed()
        self.servers += [RedisServer(folder / f"server-{n}", options=options) for n in (1, 2)]
        self.sentinels = [Sentinel(folder / f"sentinel-{n}", self.servers[0]) for n in range(3)]
        self._stack = ExitStack()

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{hosts}/{NAME}"

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for server in self.servers:
                stack.enter_context(server)
            for sentinel in self.sentinels:
                stack.enter_context(sentinel)
            until(self.are_in_step, "replicas in step")
            until(self._all_know_all, "sentinels to know each other")
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for server in self.servers:
            server.thaw()
        self._stack.close()

    @property
    def primary(self) -> RedisServer:
        """By the word of most sentinels."""
        ports = [int(said["port"]) for one in self.sentinels if (said := one.said())]
        port = max(ports, key=ports.count)
        return next(server for server in self.servers if server.port == port)

    @property
    def replicas(self) -> list[RedisServer]:
        primary = self.primary
        return [server for server in self.servers if server is not primary]

    def are_in_step(self) -> bool:
        """All but one follow."""
        return sum(server.is_in_step() for server in self.servers) == len(self.servers) - 1

    def _all_know_all(self) -> bool:
        return all(
            (said.get("num-slaves"), said.get("num-other-sentinels")) == (2, 2)
            for said in (sentinel.said() for sentinel in self.sentinels)
        )
