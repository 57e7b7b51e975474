"""An open loop: requests leave when they are due, whether or not the ones before were answered.

The latency of a request counts from the moment it was due, so that a service that stalls is charged
for everybody who would have come meanwhile (coordinated omission; Tene, "How NOT to measure
latency", 2013). One thread and `select`, which wakes up more precisely than an event loop.
"""

import select
import socket
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.load import CONNECT_LINES, CONTENT_LENGTH, ENTITIES, Face, Plant

CONNECTIONS = 128
DRAIN_SECONDS = 1.0  # after the last request was due; who is not answered then counts as this late
MAX_WAIT_SECONDS = 0.05


@dataclass(frozen=True)
class Arrivals:
    """What became of one open loop."""

    offered_per_second: float
    due: int
    answered: int  # with status 200
    latencies_ms: list[float]  # of all that were due; at least so much where no answer came
    late_ms_p99: float  # how late the generator itself was, where a connection was free

    def latency_ms(self, percent: float) -> float:
        """Percentile of the latencies."""
        return float(np.percentile(self.latencies_ms, percent))


class _Line:
    """One kept connection and the requests that go over it, one after the other."""

    def __init__(self, face: Face, points: Iterator[bytes]) -> None:
        self.socket = socket.create_connection(("127.0.0.1", face.port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.waiting: deque[float] = deque()  # when they were due
        self.sent_due: float | None = None  # of the one under way
        self._points = points
        self._start = b"POST %s HTTP/1.1\r\n%s" % (face.single_path.encode(), CONNECT_LINES)
        self._ends = face.single_ends
        self._received = b""

    def fileno(self) -> int:
        """For `select`."""
        return self.socket.fileno()

    def send_next(self) -> None:
        """Send what has waited longest, if nothing is under way."""
        if self.sent_due is None and self.waiting:
            self.sent_due = self.waiting.popleft()
            before, after = self._ends
            body = before + next(self._points) + after
            self.socket.sendall(self._start + b"%d\r\n\r\n" % len(body) + body)

    def receive(self) -> tuple[float, bool] | None:
        """When the answered request was due and whether the answer is 200; None: not all there."""
        self._received += self.socket.recv(65_536)
        head, found, body = self._received.partition(b"\r\n\r\n")
        length = CONTENT_LENGTH.search(head)
        if not found or length is None or len(body) < int(length[1]):
            return None
        assert self.sent_due is not None
        due, self.sent_due, self._received = self.sent_due, None, b""
        return due, head.startswith(b"HTTP/1.1 200 ")


class OpenLoop:
    """Connections, each with entities of its own, so that the points of an entity stay in order."""

    def __init__(self, face: Face, plant: Plant) -> None:
        self._lines = [
            _Line(face, plant.points(ENTITIES[one::CONNECTIONS])) for one in range(CONNECTIONS)
        ]

    def close(self) -> None:
        """Disconnect."""
        for line in self._lines:
            line.socket.close()

    def run(self, per_second: float, *, seconds: float) -> Arrivals:
        """Offer so many single points per second."""
        count = round(per_second * seconds)
        start = time.perf_counter() + 0.01
        due = start + np.arange(count) / per_second
        latencies: list[float] = []
        late: list[float] = []
        answered = sent = 0
        deadline = due[-1] + DRAIN_SECONDS
        while len(latencies) < count and (now := time.perf_counter()) < deadline:
            while sent < count and due[sent] <= now:
                line = self._lines[sent % CONNECTIONS]
                line.waiting.append(float(due[sent]))
                if line.sent_due is None:
                    late.append(1000 * (now - due[sent]))
                line.send_next()
                sent += 1
            until = due[sent] if sent < count else deadline
            wait = min(max(until - time.perf_counter(), 0.0), MAX_WAIT_SECONDS)
            for line in select.select(self._lines, [], [], wait)[0]:
                if (found := line.receive()) is not None:
                    latencies.append(1000 * (time.perf_counter() - found[0]))
                    answered += found[1]
                    line.send_next()
        latencies += self._given_up()
        return Arrivals(per_second, count, answered, latencies, float(np.percentile(late, 99)))

    def _given_up(self) -> list[float]:
        """How late everybody is who was not answered; their connections are of no more use."""
        now = time.perf_counter()
        found: list[float] = []
        for line in self._lines:
            under_way = [] if line.sent_due is None else [line.sent_due]
            found += [1000 * (now - due) for due in (*under_way, *line.waiting)]
            line.waiting.clear()
        return found
