"""The load: points of many entities over kept HTTP/1.1 connections, each sending when answered."""

import asyncio
import itertools
import json
import math
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import msgspec
import numpy as np
import uvloop

from service.scoring.bundle import Bundle

ENTITIES = [f"bench-{number:03d}" for number in range(512)]
FIRST_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z
PERIOD_MS = 60_000
VARIANTS = 16  # different rows of values, taken in turn
CONTENT_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
CONNECT_LINES = b"Host: localhost\r\nContent-Type: application/json\r\nContent-Length: "
PACKED_LINES = (
    b"Host: localhost\r\nContent-Type: application/msgpack\r\nAccept: application/msgpack\r\n"
    b"Content-Length: "
)


@dataclass(frozen=True)
class Load:
    """So many connections, each sending so many points at once."""

    name: str
    connections: int
    points: int  # per request
    is_packed: bool = False  # as columns in MessagePack, where the service takes them


@dataclass(frozen=True)
class Face:
    """How a service takes points: paths, and what surrounds them in a body."""

    port: int
    single_path: str
    single_ends: tuple[bytes, bytes]
    batch_path: str = "/v1/points"
    batch_ends: tuple[bytes, bytes] = (b'{"points":[', b"]}")
    takes_packed: bool = False


@dataclass(frozen=True)
class Answered:
    """What came back in one round."""

    seconds: float
    sent: int
    answered: int  # with status 200
    scored: int  # points with a score in the last answer of each connection
    expected: int  # points in those answers
    latencies_ms: list[float]

    def latency_ms(self, percent: float) -> float:
        """Percentile, nearest rank."""
        ordered = sorted(self.latencies_ms)
        return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


Bodies = Iterator[bytes]


class Plant:
    """Writes points as JSON; the time of every entity only moves forward."""

    def __init__(self, bundle: Bundle) -> None:
        generator = np.random.default_rng(0)
        spread = generator.normal(0.0, 0.3, (VARIANTS, len(bundle.manifest.dimensions)))
        self.values = bundle.calibration.center[0] + spread * bundle.calibration.band[0]
        self._tails = [
            b',"values":' + json.dumps([round(value, 6) for value in row]).encode() + b"}"
            for row in self.values.tolist()
        ]
        self._heads = {
            entity: b'{"entity":"%s","timestamp_ms":' % entity.encode() for entity in ENTITIES
        }
        self._steps = dict.fromkeys(ENTITIES, 0)

    def points(self, entities: Sequence[str]) -> Iterator[bytes]:
        """The next point of one entity after the other, without end."""
        for entity, step in self._turns(entities):
            timestamp_ms = b"%d" % (FIRST_MS + step * PERIOD_MS)
            yield self._heads[entity] + timestamp_ms + self._tails[step % VARIANTS]

    def packed(self, entities: Sequence[str], count: int) -> Iterator[bytes]:
        """Bodies of the next so many points, without end."""
        turns, rows = self._turns(entities), self.values.astype("<f4")
        while True:
            names, steps = zip(*itertools.islice(turns, count), strict=True)
            yield msgspec.msgpack.encode(
                {
                    "entity": names,
                    "timestamp_ms": [FIRST_MS + step * PERIOD_MS for step in steps],
                    "values": rows[np.array(steps) % VARIANTS].tobytes(),
                }
            )

    def bodies(self, entities: Sequence[str], load: Load, ends: tuple[bytes, bytes]) -> Bodies:
        """What one connection sends, without end."""
        if load.is_packed:
            return self.packed(entities, load.points)
        points, (before, after) = self.points(entities), ends
        return (
            before + b",".join(itertools.islice(points, load.points)) + after
            for _ in itertools.count()
        )

    def _turns(self, entities: Sequence[str]) -> Iterator[tuple[str, int]]:
        """Entities one after the other, and how many points each has had."""
        while True:
            for entity in entities:
                self._steps[entity] += 1
                yield entity, self._steps[entity]


def run(face: Face, plant: Plant, load: Load, *, seconds: float) -> Answered:
    """Drive a service for a while; requests under way at the end are answered and count."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_run(face, plant, load, seconds=seconds))


def warm(face: Face, plant: Plant, *, steps: int) -> None:
    """Give every entity so many points."""

    async def post() -> None:
        load = Load("warm", connections=1, points=len(ENTITIES))
        connection = await _Connection.open(face, load)
        for body in itertools.islice(plant.bodies(ENTITIES, load, face.batch_ends), steps):
            await connection.post(body)
        connection.close()

    asyncio.run(post())


async def _run(face: Face, plant: Plant, load: Load, *, seconds: float) -> Answered:
    load = replace(load, is_packed=load.is_packed and face.takes_packed)
    ends = face.single_ends if load.points == 1 else face.batch_ends
    connections = [await _Connection.open(face, load) for _ in range(load.connections)]
    owned = [ENTITIES[one :: load.connections] for one in range(load.connections)]
    start = time.perf_counter()
    await asyncio.gather(
        *(
            connection.keep_posting(plant.bodies(entities, load, ends), until=start + seconds)
            for connection, entities in zip(connections, owned, strict=True)
        )
    )
    elapsed = time.perf_counter() - start
    for connection in connections:
        connection.close()
    return Answered(
        seconds=elapsed,
        sent=sum(connection.sent for connection in connections),
        answered=sum(connection.answered for connection in connections),
        scored=sum(connection.scored() for connection in connections),
        expected=load.connections * load.points,
        latencies_ms=[ms for connection in connections for ms in connection.latencies_ms],
    )


class _Connection:
    """One kept connection."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, start: bytes
    ) -> None:
        self._reader, self._writer = reader, writer
        self._start = start
        self._last = b""
        self.sent = self.answered = 0
        self.latencies_ms: list[float] = []

    @staticmethod
    async def open(face: Face, load: Load) -> "_Connection":
        """Connect, to send so many points at once."""
        reader, writer = await asyncio.open_connection("127.0.0.1", face.port, limit=2**24)
        path = face.single_path if load.points == 1 else face.batch_path
        lines = PACKED_LINES if load.is_packed else CONNECT_LINES
        return _Connection(reader, writer, start=b"POST %s HTTP/1.1\r\n%s" % (path.encode(), lines))

    def close(self) -> None:
        """Disconnect."""
        self._writer.close()

    async def keep_posting(self, bodies: Bodies, *, until: float) -> None:
        """Post, and post again when answered."""
        while time.perf_counter() < until:
            await self.post(next(bodies))

    async def post(self, body: bytes) -> None:
        """Post points and read the answer."""
        start = time.perf_counter()
        self._writer.write(self._start + b"%d\r\n\r\n" % len(body) + body)
        self.sent += 1
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = CONTENT_LENGTH.search(head)
        assert length is not None, head
        self._last = await self._reader.readexactly(int(length[1]))
        self.latencies_ms.append((time.perf_counter() - start) * 1000)
        self.answered += head.startswith(b"HTTP/1.1 200 ")

    def scored(self) -> int:
        """Points with a score in the last answer."""
        is_json = self._last.startswith(b"{")
        answer = json.loads(self._last) if is_json else msgspec.msgpack.decode(self._last)
        return sum(one.get("score") is not None for one in answer.get("verdicts", [answer]))
