"""HAProxy in front of replicas: a real round robin, which asks each of them whether it is ready."""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.programs import program
from tests.system.processes import Service, free_port, status_of, until

CONFIGURATION: Final = """
defaults
  mode http
  timeout connect 2s
  timeout client 30s
  timeout server 30s
  timeout check 1s
  retries 3
  option redispatch 1
  retry-on conn-failure empty-response
  http-error status 503 content-type text/plain string "no replica is ready" hdr retry-after 1
frontend points
  bind 127.0.0.1:{port}
  default_backend replicas
backend replicas
  balance roundrobin
  option httpchk
  http-check send meth GET uri /readyz ver HTTP/1.1 hdr Host localhost
  http-check expect status 200
  default-server check inter 300ms fall 3 rise 1
"""


class Balancer:
    """`haproxy` on a port of its own."""

    def __init__(self, replicas: Sequence[Service], folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._file, self._log = folder / "haproxy.cfg", folder / "haproxy.log"
        servers = "\n".join(f"  server replica-{one.port} 127.0.0.1:{one.port}" for one in replicas)
        self._file.write_text(f"{CONFIGURATION.format(port=self.port)}{servers}\n")
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [program("haproxy"), "-db", "-f", str(self._file)], stdout=log, stderr=log
            )
        until(self._answers, "haproxy to answer")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self._log.read_text()
        return status_of(f"{self.url}/readyz") == 200
