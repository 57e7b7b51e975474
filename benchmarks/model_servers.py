"""Our service beside others that run the whole window again, a point per request over HTTP.

    python -m benchmarks.model_servers

The naive FastAPI service keeps a Redis list per entity; MLServer, in an environment of its own made
by pip (or given by `--python`), keeps nothing, so its clients send the whole window every time and
learn the errors, not a verdict. Without MLServer it is left out, and it is said. All take turns.
"""

import contextlib
import itertools
import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Annotated

import typer
from msgspec import Struct

from benchmarks.environments import beside_peers
from benchmarks.load import Face, Load, Plant, run, warm
from benchmarks.machine import Machine, machine
from benchmarks.rounds import SERVICES, WARM_STEPS
from benchmarks.servers import Durability, Running, cpu_seconds, free_port, process
from benchmarks.sheet import Sheet, figure, keep, show
from benchmarks.shipped import BUNDLES, chosen_bundle
from service.scoring.bundle import Bundle

RESULTS = Path("benchmarks/results/model_servers.json")
PACKAGES = ("mlserver==1.7.1", "onnxruntime")
RUNTIME = Path(__file__).parent / "mlserver_window.py"
PERSISTENCE: Durability = "everysec"
LOADS = (Load("one connection", connections=1, points=1), Load("32 connections", 32, 1))
MLSERVER = "mlserver"


class Round(Struct, frozen=True):
    """One closed loop on one service."""

    load: str
    service: str
    points_per_second: float
    points_per_service_cpu_second: float
    ms_p50: float
    ms_p99: float


class Result(Struct, frozen=True):
    """Everything that is kept."""

    machine: Machine
    model: str
    skipped: str  # why MLServer is missing; "": it is not
    rounds: list[Round]


class WindowPlant(Plant):
    """Writes whole windows, as a client of MLServer must."""

    def __init__(self, bundle: Bundle) -> None:
        super().__init__(bundle)
        length, dimensions = bundle.manifest.window_length, len(bundle.manifest.dimensions)
        values = (self.values - bundle.calibration.center[0])[:length].round(6)
        window = {"name": "window", "datatype": "FP32", "shape": [1, length, dimensions]}
        rows = [values[i % len(values)].tolist() for i in range(length)]
        self._body = json.dumps({"inputs": [{**window, "data": rows}]}).encode()

    def points(self, entities: Sequence[str]) -> Iterator[bytes]:
        """The same window again and again: what is in it costs the same."""
        for _ in itertools.cycle(entities):
            yield self._body


def main(
    output: Annotated[Path, typer.Option(help="Where the figures go.")] = RESULTS,
    bundles: Annotated[Path, typer.Option(help="Folder of bundles.")] = BUNDLES,
    python: Annotated[Path | None, typer.Option(help="One that has mlserver.")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Of every load and service.")] = 5,
    seconds: Annotated[float, typer.Option(min=0.1, help="Length of a round.")] = 3.0,
    quick: Annotated[bool, typer.Option("--quick", help="One short round, no download.")] = False,
) -> None:
    """Measure single points over HTTP."""
    rounds, seconds = (1, 0.3) if quick else (rounds, seconds)
    facts, bundle = machine(), chosen_bundle(bundles)
    measure = partial(_measured, bundle, rounds=rounds, seconds=seconds)
    found, skipped = beside_peers(measure, PACKAGES, python=python, downloads=not quick)
    result = Result(facts, bundle.title, skipped, found)
    keep(output, result)
    show(output, list(sheets(result)), machine=facts.line)


def sheets(result: Result) -> Iterator[Sheet]:
    """Points per second by service."""
    missing = f" MLServer is missing: {result.skipped}." if result.skipped else ""
    lines = []
    for kind, service in dict.fromkeys((one.load, one.service) for one in result.rounds):
        own = [one for one in result.rounds if (one.load, one.service) == (kind, service)]
        names = ("points_per_second", "points_per_service_cpu_second", "ms_p50", "ms_p99")
        cells = (figure(median(getattr(one, name) for one in own)) for name in names)
        lines.append([kind, "Gaugewatch" if service == "gaugewatch" else service, *cells])
    yield Sheet(
        name="model-servers",
        said=f"A point per request over HTTP ({result.model}); Redis persistence: {PERSISTENCE}, "
        f"none for MLServer, which keeps nothing and is sent the whole window.{missing}",
        head=("load", "service", "points/s", "per CPU-second of it", "p50 ms", "p99 ms"),
        lines=lines,
    )


def _measured(bundle: Bundle, python: Path | None, *, rounds: int, seconds: float) -> list[Round]:
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gaugewatch-bench-")))
        running = []
        for start in SERVICES:
            one = stack.enter_context(start(bundle, PERSISTENCE, folder / start.__name__))
            horizon = bundle.manifest.memory_horizon if one.name == "gaugewatch" else 0
            warm(one.face, one.plant, steps=WARM_STEPS + horizon)
            running.append(one)
        if python is not None:
            running.append(stack.enter_context(_mlserver(bundle, python, folder / MLSERVER)))
        return [
            _round(one, kind, seconds=seconds)
            for kind in LOADS
            for _ in range(rounds)
            for one in running
        ]


@contextlib.contextmanager
def _mlserver(bundle: Bundle, python: Path, folder: Path) -> Iterator[Running]:
    folder.mkdir()
    shutil.copy(RUNTIME, folder)
    ports = {f"{kind}_port": free_port() for kind in ("http", "grpc", "metrics")}
    quiet = {"parallel_workers": 0, "debug": False, "host": "127.0.0.1", "metrics_endpoint": None}
    (folder / "settings.json").write_text(json.dumps({**ports, **quiet}))
    graph = {"uri": str((bundle.folder / bundle.manifest.window.file).absolute())}
    model = {"name": "window", "implementation": "mlserver_window.WindowModel", "parameters": graph}
    (folder / "model-settings.json").write_text(json.dumps(model))
    port = ports["http_port"]
    with process(
        [str(python.parent / "mlserver"), "start", str(folder)],
        port,
        folder / "service.log",
        environment={"PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"},
        ready_path="/v2/models/window/ready",
    ) as pid:
        face = Face(port, "/v2/models/window/infer", (b"", b""))
        yield Running(MLSERVER, face, WindowPlant(bundle), pid, pid)


def _round(running: Running, kind: Load, *, seconds: float) -> Round:
    before = cpu_seconds(running.service_pid)
    found = run(running.face, running.plant, kind, seconds=seconds)
    spent = max(cpu_seconds(running.service_pid) - before, 0.01)  # one tick of the clock
    if found.answered < found.sent:
        raise RuntimeError(f"{running.name} answered {found.answered} of {found.sent} requests")
    return Round(
        load=kind.name,
        service=running.name,
        points_per_second=found.answered / found.seconds,
        points_per_service_cpu_second=found.answered / spent,
        ms_p50=found.latency_ms(50),
        ms_p99=found.latency_ms(99),
    )


if __name__ == "__main__":
    typer.run(main)
