"""A replay: the series, its requests of odd sizes, and what a whole run answered and told."""

import math
import random
import re
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import httpx2
import msgspec
import numpy as np
from redis import Redis

from service.scoring.series import Series
from service.stream.keys import alert_count_key, alert_stream_key
from service.stream.messages import Alert, Point, Verdict
from tests.builders import ENTITIES, series_like
from tests.system.processes import PATIENCE_SECONDS, Service, until

SHARDS = 8
COUNT = 450
Key = tuple[str, int]


class Answer(msgspec.Struct):
    """What `POST /v1/points` answers."""

    verdicts: list[Verdict]


def faulty_series(entity: str, *, shift: int) -> Series:
    """Faults that open, grow, end, stay until they are normal, and a dimension that is lost."""
    series = series_like(entity, COUNT, seed=3)
    values = series.values[shift:]
    values[40:44, 1] += 3.0
    values[60:70, 2] += 2.0
    values[64:70, 2] += 40.0
    values[90:105, 3] = np.nan
    values[120:126, 0] -= 6.0
    values[140:400, 0] -= 60.0
    values[420:424] *= -4.0
    return series


SERIES = [faulty_series(entity, shift=7 * n) for n, entity in enumerate(ENTITIES)]


def points_of(series: Series) -> list[Point]:
    rows = zip(series.timestamps_ms.tolist(), series.values.tolist(), strict=True)
    return [Point(series.entity, time, [None if v != v else v for v in row]) for time, row in rows]


def requests_of(points: Sequence[Point], *, seed: int, largest: int) -> list[list[Point]]:
    """Requests of odd sizes."""
    choice, requests, start = random.Random(seed), [], 0
    while start < len(points):
        size = choice.randint(1, largest)
        requests.append(list(points[start : start + size]))
        start += size
    return requests


def interleaved(series: Iterable[Series]) -> list[Point]:
    rows = zip(*(points_of(one) for one in series), strict=True)
    return [point for row in rows for point in row]


@dataclass(frozen=True)
class Refused:
    """An answer other than 200, or none (status 0)."""

    status: int
    seconds: float
    retry_after: str | None = None
    code: str | None = None


@dataclass
class Run:
    """What was answered and told."""

    verdicts: dict[Key, Verdict] = field(default_factory=dict)
    refusals: list[Refused] = field(default_factory=list)
    sent: int = 0  # requests, repeats included
    repeated: int = 0  # points that had been kept although nobody had acknowledged them

    def note(self, verdicts: Sequence[Verdict]) -> None:
        for verdict in verdicts:
            self.repeated += verdict.status == "duplicate"
            self.verdicts[verdict.entity, verdict.timestamp_ms] = verdict


def post(client: httpx2.Client, points: Sequence[Point]) -> list[Verdict] | Refused:
    """One attempt."""
    start = time.monotonic()
    try:
        answer = client.post("/v1/points", json={"points": msgspec.to_builtins(points)})
    except httpx2.TransportError:
        return Refused(0, time.monotonic() - start)
    if answer.status_code != 200:
        seconds, problem = time.monotonic() - start, answer.json()
        retry_after = answer.headers.get("retry-after")
        return Refused(answer.status_code, seconds, retry_after, problem["code"])
    return msgspec.json.decode(answer.content, type=Answer).verdicts


def client_of(service: Service) -> httpx2.Client:
    return httpx2.Client(base_url=service.url, timeout=30)


def post_until_acknowledged(client: httpx2.Client, points: Sequence[Point], run: Run) -> None:
    """Repeat what nobody acknowledged, as a client of ours would."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        run.sent += 1
        answer = post(client, points)
        if not isinstance(answer, Refused):
            return run.note(answer)
        run.refusals.append(answer)
        assert answer.status in (0, 503), answer
        assert time.monotonic() < deadline, "nobody acknowledged a request"
        time.sleep(0.02)


class Replay:
    """One client per entity, at the same time, in threads; `run` is what they got so far."""

    def __init__(self, service: Service, *, seed: int, largest: int = 9) -> None:
        self.run = Run()
        self._service = service
        self._pool = ThreadPoolExecutor(len(SERIES))
        self._gate = threading.Event()
        self._released, self._held_at = threading.Event(), math.inf
        requests = [requests_of(points_of(one), seed=seed, largest=largest) for one in SERIES]
        self.requests = sum(map(len, requests))
        self._replays = [self._pool.submit(self._send, one) for one in requests]

    def begin(self) -> None:
        self._gate.set()

    def hold_at(self, count: int) -> None:
        """Once so many requests have been sent, send no more before `release`."""
        self._held_at = count

    def release(self) -> None:
        """Send what is left."""
        self._released.set()

    def until_sent(self, count: int) -> None:
        """Wait until so many requests have been sent: one of them is probably in flight."""
        until(lambda: self.run.sent >= count or self.is_over, f"{count} requests to be sent")

    @property
    def is_over(self) -> bool:
        return all(replay.done() for replay in self._replays)

    def end(self) -> Run:
        for replay in self._replays:
            replay.result(PATIENCE_SECONDS)
        self._pool.shutdown()
        return self.run

    def _send(self, requests: Sequence[Sequence[Point]]) -> None:
        self._gate.wait()
        with client_of(self._service) as client:
            for request in requests:
                if self.run.sent >= self._held_at:
                    self._released.wait()
                post_until_acknowledged(client, request, self.run)


def alert_log(redis_url: str) -> dict[str, list[bytes]]:
    """Every alert of every entity, as it lies in the log, in order; the numbers have no holes."""
    log: dict[str, list[bytes]] = defaultdict(list)
    with Redis.from_url(redis_url) as client:
        for shard in range(SHARDS):
            entries = client.xrange(alert_stream_key(shard))
            numbers = [int(number.partition(b"-")[0]) for number, _ in entries]
            assert numbers == list(range(1, int(client.get(alert_count_key(shard)) or 0) + 1))
            for _, fields in entries:
                log[fields[b"entity"].decode()].append(fields[b"alert"])
    return dict(log)


def by_entity(alerts: Iterable[bytes]) -> dict[str, list[bytes]]:
    """What a subscriber received, in its order."""
    found: dict[str, list[bytes]] = defaultdict(list)
    for alert in alerts:
        found[msgspec.json.decode(alert, type=Alert).entity].append(alert)
    return dict(found)


def assert_same_verdicts(run: Run, undisturbed: Mapping[Key, Verdict]) -> None:
    """Bit for bit; only the status may say that a point was known already."""
    assert run.verdicts.keys() == undisturbed.keys(), "no point is missing"
    for key, expected in undisturbed.items():
        found = run.verdicts[key]
        if found.status == "duplicate":
            expected = msgspec.structs.replace(expected, status="duplicate")
        assert msgspec.json.encode(found) == msgspec.json.encode(expected)


def assert_same_alerts(redis_url: str, undisturbed: Mapping[str, list[bytes]]) -> None:
    """Bit for bit, in order, each once."""
    log = alert_log(redis_url)
    ids = [msgspec.json.decode(alert, type=Alert).id for alerts in log.values() for alert in alerts]
    assert len(ids) == len(set(ids))
    assert log == undisturbed


def without_gaps(log: Mapping[str, list[bytes]]) -> tuple[dict[str, list[bytes]], set[str]]:
    """Alerts but those that mark lost points, and the entities that have such a mark."""
    rest: dict[str, list[bytes]] = {}
    gaps: set[str] = set()
    for entity, alerts in log.items():
        kept = [a for a in alerts if msgspec.json.decode(a, type=Alert).reason != "points_lost"]
        if len(kept) < len(alerts):
            gaps.add(entity)
        if kept:
            rest[entity] = kept
    return rest, gaps


def lost_points(service: Service) -> int:
    """What the service noticed to be gone."""
    page = service.get("/metrics")
    found = re.findall(r"^gaugewatch_lost_points_total{.*} (\S+)$", page, re.MULTILINE)
    return int(sum(map(float, found)))
