"""Where the time of a point goes: microseconds by stage, of a lone point and in larger batches.

    python -m benchmarks.stages

The path of a point without sockets to clients: bodies are decoded, scored and kept in a real Redis,
answers are encoded. Over HTTP the server comes on top (`benchmarks.ingest`).
"""

import asyncio
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Annotated, Self

import numpy as np
import typer
from msgspec import Struct
from msgspec.json import Encoder

from benchmarks.load import ENTITIES, Load, Plant
from benchmarks.machine import Machine, machine
from benchmarks.sheet import Sheet, figure, keep, show
from benchmarks.shipped import BUNDLES, chosen_bundle
from benchmarks.stores import PATIENT, redis_server
from service.scoring.bundle import Bundle
from service.scoring.detector import Detector
from service.scoring.fold import Fold
from service.settings import Settings
from service.stream.hearing import Listeners
from service.stream.ingest import Ingest
from service.stream.models import Models
from service.stream.stage import Stage
from service.stream.store import Store
from service.web.decoding import JSON, decode, form_of
from service.web.points import VerdictsBody

RESULTS = Path("benchmarks/results/stages.json")
FORMS = ((1, 1), (32, 1), (1_000, 1_000))  # points of a batch, and of each of its requests
STAGES = ("decode", "restore", "fold", "commit", "answer", "encode")
ENDS = (b'{"points":[', b"]}")


class Round(Struct, frozen=True):
    """Microseconds per point."""

    batch: int
    each: int  # points per request
    stages: dict[str, float]
    graph: float  # ONNX Runtime alone, a part of the fold
    total: float


class Result(Struct, frozen=True):
    """Everything that is kept."""

    machine: Machine
    model: str
    rounds: list[Round]


def main(
    output: Annotated[Path, typer.Option(help="Where the figures go.")] = RESULTS,
    bundles: Annotated[Path, typer.Option(help="Folder of bundles.")] = BUNDLES,
    rounds: Annotated[int, typer.Option(min=1, help="Of each size of batch.")] = 9,
    points: Annotated[int, typer.Option(min=1_000, help="In a round, about.")] = 8_000,
    quick: Annotated[bool, typer.Option("--quick", help="One short round.")] = False,
) -> None:
    """Measure time per point by stage."""
    rounds, points = (1, 1_000) if quick else (rounds, points)
    facts, bundle = machine(), chosen_bundle(bundles)
    models = Models(bundles, default=bundle.manifest.name)
    with (
        tempfile.TemporaryDirectory(prefix="gaugewatch-bench-") as folder,
        redis_server(Path(folder), "everysec") as server,
        closing(Store(server.url, replace(PATIENT, durability="everysec"))) as store,
    ):
        store.check()
        found = asyncio.run(_rounds(bundle, models, store, rounds=rounds, points=points))
    result = Result(facts, bundle.title, found)
    keep(output, result)
    show(output, list(sheets(result)), machine=facts.line)


async def _rounds(
    bundle: Bundle, models: Models, store: Store, *, rounds: int, points: int
) -> list[Round]:
    async with Line(bundle, models, store) as line:
        await line.round(*FORMS[-1], points=10 * len(ENTITIES))  # then everybody is warm
        return [await line.round(*form, points=points) for form in FORMS * rounds]


def sheets(result: Result) -> Iterator[Sheet]:
    """A column for each size of batch."""
    names = [f"{batch:,} in {batch // each} requests" for batch, each in FORMS]
    own = [[one for one in result.rounds if (one.batch, one.each) == form] for form in FORMS]
    lines = [_line(name, [[one.stages[name] for one in some] for some in own]) for name in STAGES]
    lines.insert(3, _line("of it the graph", [[one.graph for one in some] for some in own]))
    between = [[one.total - sum(one.stages.values()) for one in some] for some in own]
    lines.append(_line("between them", between))
    lines.append(_line("all", [[one.total for one in some] for some in own]))
    yield Sheet(
        name="stages",
        said=f"Microseconds per point by stage and points of a batch, in process ({result.model}, "
        "persistence: everysec); commit includes what Redis takes. Medians of the rounds.",
        head=("stage", *names),
        lines=lines,
    )


class Line:
    """The path of a point, watched."""

    def __init__(self, bundle: Bundle, models: Models, store: Store) -> None:
        self._seconds: dict[str, float] = defaultdict(float)
        self._settings = Settings()
        self._ingest = Ingest(store, models, listeners=Listeners(self._note))
        self._detector, self._fold = Detector(bundle), Fold(bundle)
        self._plant = Plant(bundle)
        self._read, self._encode = form_of(JSON), Encoder().encode

    async def __aenter__(self) -> Self:
        await self._ingest.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._ingest.__aexit__(None, None, None)

    async def round(self, batch: int, each: int, *, points: int) -> Round:
        """So many points in batches of requests."""
        bodies = self._plant.bodies(ENTITIES, Load("", 1, each), ENDS)
        batches = [[next(bodies) for _ in range(batch // each)] for _ in range(-(-points // batch))]
        self._seconds.clear()
        start = time.perf_counter()
        for one in batches:
            await self._answer(one)
        scale = 1e6 / (len(batches) * batch)
        total = scale * (time.perf_counter() - start)
        stages = {name: scale * self._seconds[name] for name in STAGES}
        return Round(batch, each, stages, self._graph(batch), total)

    async def _answer(self, bodies: list[bytes]) -> None:
        requests = []
        for body in bodies:
            with Stage("decode", self._note):
                requests.append(decode(body, self._read, self._settings))
        for verdicts in await asyncio.gather(*map(self._ingest.submit, requests)):
            with Stage("encode", self._note):
                self._encode(VerdictsBody(verdicts))

    def _graph(self, batch: int) -> float:
        """Of distinct entities, as many at once as the fold has."""
        rows = min(batch, len(ENTITIES))
        index = np.zeros(rows, np.int64)
        states, values = self._fold.fresh(index)["model"], self._plant.values
        values = values[np.arange(rows) % len(values)].astype(np.float32)
        start, calls = time.perf_counter(), 20
        for _ in range(calls):
            self._detector.run(states, values, index)
        return 1e6 * (time.perf_counter() - start) / (calls * rows)

    def _note(self, stage: str, seconds: float) -> None:
        self._seconds[stage] += seconds


def _line(name: str, columns: list[list[float]]) -> list[str]:
    return [name, *(figure(median(column)) if column else "-" for column in columns)]


if __name__ == "__main__":
    typer.run(main)
