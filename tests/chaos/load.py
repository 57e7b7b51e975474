"""The load: clients that send points at a steady rate, and again until they are acknowledged."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

import httpx2
import msgspec

from service.stream.messages import Point
from tests.chaos.history import UNANSWERED, Attempt, History, Seen, Verdicts
from tests.chaos.plant import Plant
from tests.system.processes import PATIENCE_SECONDS, until

PAUSE_SECONDS: Final = 0.02  # after a refusal
GIVE_UP_SECONDS: Final = 180.0  # more than any outage here takes
OVERLOADED: Final = '"code":"overloaded"'
HEADERS: Final = {"Content-Type": "application/json"}
CALIBRATING_TOO: Final = {"default": {"alert_while_calibrating": True}}


@dataclass(frozen=True)
class Manner:
    """How a load is sent."""

    points_per_second: float = 2_000.0
    senders: int = 4
    points_each: int = 2  # of each entity of a sender, in a request
    drops: bool = False  # what the service says it did not keep is never sent again


class Load:
    """Threads with a part of the entities each; `history` is what they have seen so far."""

    def __init__(self, port: int, plant: Plant, manner: Manner | None = None) -> None:
        self.history = History()
        self._port, self._plant, self._manner = port, plant, manner or Manner()
        self._is_over = threading.Event()
        self._errors: list[BaseException] = []
        names, count = list(plant.series), self._manner.senders
        self._threads = [
            threading.Thread(target=self._run, args=(names[first::count],), daemon=True)
            for first in range(count)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        self.until_acknowledged(1)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join(2 * PATIENCE_SECONDS)
        if error is None:
            self.assert_well()

    def assert_well(self) -> None:
        if self._errors:
            raise self._errors[0]

    def until_acknowledged(self, requests: int) -> None:
        """Wait for so many more acknowledged requests."""
        wanted = len(self.history.accepted) + requests

        def is_so() -> bool:
            self.assert_well()
            return len(self.history.accepted) >= wanted

        until(is_so, f"{requests} acknowledged requests")

    def _run(self, entities: Sequence[str]) -> None:
        try:
            with Caller(self._port, self.history) as caller:
                self._send_all(caller, entities)
        except BaseException as error:
            self._errors.append(error)
            raise

    def _send_all(self, caller: "Caller", entities: Sequence[str]) -> None:
        each, due = self._manner.points_each, time.monotonic()
        interval = len(entities) * each * self._manner.senders / self._manner.points_per_second
        for start in range(0, self._plant.points - each, each):
            if self._is_over.is_set():
                break
            points = [
                self._plant.point(entity, position)
                for position in range(start, start + each)
                for entity in entities
            ]
            caller.post_until_acknowledged(points, drops=self._manner.drops)
            due = max(due + interval, time.monotonic() - interval)
            self._is_over.wait(max(0.0, due - time.monotonic()))
        else:
            assert self._is_over.is_set(), "the plant has too few points for this run"


class Caller:
    """A client with one connection that it keeps."""

    def __init__(self, port: int, history: History) -> None:
        self._client = httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=30)
        self.history = history
        self._refusal: str | None = None  # of the last attempt

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._client.close()

    def post_until_acknowledged(
        self, points: Sequence[Point], *, drops: bool = False
    ) -> list[Seen]:
        """Again and again, as a client of ours would; all is written down."""
        verdicts = self.post_until_answered(points, drops=drops)
        self.history.acknowledge(verdicts)
        return verdicts

    def post_until_answered(self, points: Sequence[Point], *, drops: bool = False) -> list[Seen]:
        """The same, where a verdict is not yet what it will be.

        `drops`: not again when nothing was kept; once anything else failed, something may be.
        """
        deadline = time.monotonic() + GIVE_UP_SECONDS
        while (verdicts := self.post(points)) is None:
            assert time.monotonic() < deadline, "nobody acknowledged a request"
            time.sleep(PAUSE_SECONDS)
            drops = drops and OVERLOADED in (self._refusal or "")
            if drops:
                return []
        return verdicts

    def post(self, points: Sequence[Point]) -> list[Seen] | None:
        """One attempt; None if it was refused, or not answered."""
        body, start = msgspec.json.encode({"points": points}), time.monotonic()
        try:
            answer = self._client.post("/v1/points", content=body, headers=HEADERS)
        except httpx2.TransportError:
            self._note(start, UNANSWERED, None, None)
            return None
        if answer.status_code != 200:
            self._note(start, answer.status_code, answer.headers.get("retry-after"), answer.text)
            return None
        self._note(start, 200, None, None)
        return msgspec.json.decode(answer.content, type=Verdicts).verdicts

    def _note(self, start: float, status: int, retry_after: str | None, detail: str | None) -> None:
        now = time.monotonic()
        self._refusal = detail
        self.history.attempts.append(Attempt(now, now - start, status, retry_after, detail))


def tell_of_all(url: str) -> None:
    """Alerts of entities that the bundle was not trained on are told too."""
    httpx2.put(f"{url}/v1/policies", json=CALIBRATING_TOO, timeout=30).raise_for_status()
