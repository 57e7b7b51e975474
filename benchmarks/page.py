"""The page under load: frames per second, memory, first paint and weight, in real Chromium.

    python -m benchmarks.page [--minutes 10]

A thousand entities send a point a second each; the fleet view is open, and somebody scrolls the
list and moves over the map all the while. Frames are those the browser gave to
`requestAnimationFrame`, by second; memory is that of the process that draws the page, and its heap
of JavaScript. Paint and weight are of pages opened anew, with an empty cache.
"""

import itertools
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Annotated

import httpx2
import typer
from msgspec import Struct
from playwright.sync_api import Browser, Page, sync_playwright
from rich.progress import track

from benchmarks.browsers import FRAMES, HEAP, SIZE, drawing_mb, launched
from benchmarks.load import Plant
from benchmarks.machine import Machine, machine
from benchmarks.servers import gaugewatch
from benchmarks.sheet import Sheet, figure, keep, show
from benchmarks.shipped import BUNDLES, chosen_bundle

RESULTS = Path("benchmarks/results/page.json")
OPENINGS = 7
WEIGHT = """() => [...performance.getEntriesByType("resource"),
  ...performance.getEntriesByType("navigation")].filter((one) => !one.name.includes("/v1/"))
  .reduce((sum, one) => sum + one.encodedBodySize, 0)"""
PAINT = '() => performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? -1'


class Result(Struct, frozen=True):
    """Everything that is kept."""

    machine: Machine
    model: str
    entities: int
    minutes: float
    points_per_second: float  # that were answered
    frames_per_second: list[float]  # of every second
    longest_frame_ms: list[float]  # of every second
    heap_mb: list[float]  # every ten seconds
    process_mb: list[float]  # the same; what is its own, and its part of what is shared
    first_paint_ms: list[float]
    weight_bytes: int  # of all files of the view, as they come over the wire


def main(
    output: Annotated[Path, typer.Option(help="Where the figures go.")] = RESULTS,
    bundles: Annotated[Path, typer.Option(help="Folder of bundles.")] = BUNDLES,
    minutes: Annotated[float, typer.Option(min=0.2)] = 10.0,
    entities: Annotated[int, typer.Option(min=1, max=10_000)] = 1_000,
    quick: Annotated[bool, typer.Option("--quick", help="Ten seconds.")] = False,
) -> None:
    """Measure the page."""
    minutes = 1 / 6 if quick else minutes
    facts, bundle = machine(), chosen_bundle(bundles)
    with (
        tempfile.TemporaryDirectory(prefix="gaugewatch-bench-") as folder,
        gaugewatch(bundle, "everysec", Path(folder)) as running,
        sync_playwright() as playwright,
    ):
        url = f"http://127.0.0.1:{running.face.port}"
        with _sending(url, Plant(bundle), entities) as sent:
            browser = launched(playwright)
            paints, weight = _openings(browser, url)
            page = browser.new_page(viewport=SIZE)
            page.goto(url)
            page.get_by_role("table", name="Entities").wait_for()
            before, start = len(sent), time.monotonic()
            heap, process = _watched(page, minutes)
            per_second = (len(sent) - before) * entities / (time.monotonic() - start)
            frames = page.evaluate("() => window.framesSeen")
            browser.close()
    result = Result(
        facts,
        bundle.title,
        entities,
        minutes,
        per_second,
        frames_per_second=[one for one, _ in frames],
        longest_frame_ms=[one for _, one in frames],
        heap_mb=heap,
        process_mb=process,
        first_paint_ms=paints,
        weight_bytes=weight,
    )
    keep(output, result)
    show(output, list(sheets(result)), machine=facts.line)


def sheets(result: Result) -> Iterator[Sheet]:
    """What a person would notice."""
    frames, longest = sorted(result.frames_per_second), sorted(result.longest_frame_ms)
    yield Sheet(
        name="page",
        said=f"The fleet view of {result.entities:,} entities, "
        f"{result.points_per_second:,.0f} points a second, {result.minutes:g} minutes in Chromium "
        "without a GPU, on the machine that also serves and sends (persistence: everysec).",
        head=("what", "median", "worst"),
        lines=[
            ["frames per second, by second", figure(median(frames)), figure(frames[0])],
            ["longest frame of a second, ms", figure(median(longest)), figure(longest[-1])],
            ["heap of JavaScript, MB", figure(median(result.heap_mb)), figure(max(result.heap_mb))],
            [
                "memory of its process, MB",
                figure(median(result.process_mb)),
                figure(max(result.process_mb)),
            ],
            [
                "first paint, ms",
                figure(median(result.first_paint_ms)),
                figure(max(result.first_paint_ms)),
            ],
            ["weight, KB compressed", figure(result.weight_bytes / 1e3), ""],
        ],
    )


@contextmanager
def _sending(url: str, plant: Plant, entities: int) -> Iterator[list[float]]:
    """A point of every entity each second, with times of now; seconds of every request."""
    names, is_over, seconds = [f"bench-{i:04d}" for i in range(entities)], threading.Event(), []

    def send() -> None:
        with httpx2.Client(timeout=30) as client:
            for turn in itertools.count():
                start = time.monotonic()
                values = plant.values[turn % len(plant.values)].round(4).tolist()
                now_ms = time.time_ns() // 1_000_000
                points = [{"entity": n, "timestamp_ms": now_ms, "values": values} for n in names]
                client.post(f"{url}/v1/points", json={"points": points}).raise_for_status()
                seconds.append(time.monotonic() - start)
                if is_over.wait(max(0.0, 1.0 - (time.monotonic() - start))):
                    return

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    while len(seconds) < 3 and sender.is_alive():
        time.sleep(0.1)
    yield seconds
    is_over.set()
    sender.join()


def _openings(browser: Browser, url: str) -> tuple[list[float], int]:
    paints, weight = [], 0
    for _ in range(OPENINGS):
        context = browser.new_context(viewport=SIZE)
        page = context.new_page()
        page.goto(url)
        page.get_by_role("table", name="Entities").wait_for()
        paints.append(page.evaluate(PAINT))
        weight = page.evaluate(WEIGHT)
        context.close()
    return paints, weight


def _watched(page: Page, minutes: float) -> tuple[list[float], list[float]]:
    """Heap and process every ten seconds, while somebody uses the page."""
    heap, process = [], []
    page.evaluate(FRAMES)
    rows = page.get_by_role("rowgroup", name="Entities in order")
    for turn in track(range(round(6 * minutes)), "watching"):
        end = time.monotonic() + 10
        while time.monotonic() < end:
            rows.hover(position={"x": 60, "y": 30 + 20 * (turn % 20)})
            page.mouse.wheel(0, 300 if turn % 2 else -300)
            page.wait_for_timeout(400)
        heap.append(page.evaluate(HEAP) / 1e6)
        process.append(drawing_mb())
    return heap, process


if __name__ == "__main__":
    typer.run(main)
