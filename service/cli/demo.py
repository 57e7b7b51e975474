"""`gaugewatch demo`: a simulated fleet with real faults through a real service, on this machine."""

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from websockets.exceptions import ConnectionClosed

from service.cli.client import Client
from service.cli.tally import Tally, summary
from service.cli.watch import line_of
from service.errors import GaugewatchError
from service.settings import PREFIX, is_ours
from service.simulator import FleetConfig, SimulatedEntity, simulate_fleet
from service.simulator.shipped import DEMO_SEED, ENTITIES, FLEET_SEED
from service.stream.messages import Alert, Point

FAULTS_PER_ENTITY = 3
POINTS = 720
WEEK_MS = 7 * 86_400_000
HISTORY = 300  # points of each that come at once, so that there is something to look at
STEPS_PER_SECOND = 2.0  # from then on: slow enough to watch
BUDGET = 1.0  # false incidents per machine and day
FUTURE_SECONDS = 100 * 365 * 86_400  # its clock runs ahead of ours
START_SECONDS = 30.0


def demo(
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="One stretch, then a summary.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of noise and faults.")] = DEMO_SEED,
    bundles: Annotated[
        Path | None, typer.Option(help="Folder of bundles. Default: the shipped ones.")
    ] = None,
) -> None:
    """Serve, stream a simulated fleet with faults, and show alerts with their causes."""
    console = Console(stderr=no_wait, soft_wrap=True)
    with (
        tempfile.TemporaryDirectory(prefix="gaugewatch-") as folder,
        _service(bundles, Path(folder)) as url,
    ):
        console.print(f"[bold]Gaugewatch[/] listens at {url}, metrics at {url}/metrics")
        console.print(f"Look at it: [bold]{url}/#/fleet?span=6h[/]")
        console.print(
            f"{ENTITIES} simulated machines, 24 dimensions each, a minute in half a second; "
            "faults are on their way"
        )
        found = asyncio.run(_stream(Client(url), console, seed=seed, is_endless=not no_wait))
    typer.echo(json.dumps(found))
    if no_wait and not (found["scored"] and found["faults_found"]):
        raise typer.Exit(1)


@contextlib.contextmanager
def _service(bundles: Path | None, folder: Path) -> Iterator[str]:
    """A service of its own on a free port, on the embedded Valkey; gone when we are."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "service.cli", "serve", "--port", str(port)]
    command += ["--data-directory", str(folder / "valkey")]
    command += ["--bundles", str(bundles)] if bundles else []
    with (folder / "service.log").open("w+") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=_environment())
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_until_ready(url, process, Path(log.name))
            yield url
        finally:
            process.terminate()
            process.wait()


def _environment() -> dict[str, str]:
    """Ours, without what is set for other services: their Redis is not a place for a demo."""
    kept = {name: value for name, value in os.environ.items() if not is_ours(name)}
    return kept | {
        f"{PREFIX}FALSE_ALARM_BUDGET": str(BUDGET),
        f"{PREFIX}MAX_FUTURE_SECONDS": str(FUTURE_SECONDS),
    }


def _wait_until_ready(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(GaugewatchError):
            Client(url, patience_seconds=0.5).get("/readyz")
            return
        time.sleep(0.1)
    raise GaugewatchError(f"the service did not start:\n{log.read_text()[-2000:]}")


async def _stream(
    client: Client, console: Console, *, seed: int, is_endless: bool
) -> dict[str, float | None]:
    tally = Tally()
    listening = asyncio.create_task(_listen(client, console, tally))
    fleets: list[list[SimulatedEntity]] = []
    first_ms = _thursday_ms()
    try:
        while is_endless or not fleets:
            turn = len(fleets)
            fleets.append(_stretch(seed + turn, start_ms=first_ms + turn * POINTS * 60_000))
            unpaced = POINTS if not is_endless else HISTORY if turn == 0 else 0
            async for step in _steps(fleets[-1], unpaced=unpaced):
                start = time.perf_counter()
                tally.verdicts += await asyncio.to_thread(client.post, step)
                tally.latencies_ms.append((time.perf_counter() - start) * 1000)
        await _until_told(tally)
    except asyncio.CancelledError:
        console.print("stopped")
    finally:
        listening.cancel()
    return summary(fleets, tally)


def _thursday_ms() -> int:
    """The last one at 00:00 UTC: a demo is like any other, of days that Alarm promise counts."""
    return time.time_ns() // 1_000_000 // WEEK_MS * WEEK_MS


def _stretch(seed: int, *, start_ms: int) -> list[SimulatedEntity]:
    return simulate_fleet(
        FleetConfig(
            seed=seed,
            fleet_seed=FLEET_SEED,
            entities=ENTITIES,
            train_points=POINTS,
            test_points=POINTS,
            faults_per_entity=FAULTS_PER_ENTITY,
            start_timestamp_ms=start_ms,
        )
    )


async def _steps(fleet: Sequence[SimulatedEntity], *, unpaced: int) -> AsyncIterator[list[Point]]:
    """One point of every entity at a time; the first `unpaced` without a pause."""
    for time_step in range(POINTS):
        yield [
            Point(
                entity.name,
                int(entity.test_timestamps_ms[time_step]),
                [None if v != v else v for v in entity.test[time_step].tolist()],
            )
            for entity in fleet
        ]
        if time_step >= unpaced:
            await asyncio.sleep(1 / STEPS_PER_SECOND)


async def _listen(client: Client, console: Console, tally: Tally) -> None:
    with contextlib.suppress(ConnectionClosed):
        async for _, event in client.alerts(after="earliest"):
            if isinstance(event, Alert):
                tally.alerts.append(event)
                console.print(line_of(event), highlight=False)


async def _until_told(tally: Tally) -> None:
    """Wait for the alerts of the last points."""
    expected = sum(
        isinstance(verdict.transition, str) and verdict.status != "calibrating"
        for verdict in tally.verdicts
    )
    for _ in range(100):
        if len(tally.alerts) >= expected:
            return
        await asyncio.sleep(0.05)
    raise GaugewatchError(f"{expected} alerts were caused, {len(tally.alerts)} were received")
