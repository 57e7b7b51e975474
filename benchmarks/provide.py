"""A long file in the page: read, scored with progress, drawn meanwhile, in real Chromium.

    python -m benchmarks.provide [--rows 1000000]

The file has a column for every dimension of the bundle. While it is scored somebody moves over the
chart. Frames are those the browser gave to `requestAnimationFrame`, by second; long tasks are the
stretches of more than 50 ms in which the page could not answer.
"""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Annotated

import numpy as np
import typer
from msgspec import Struct
from playwright.sync_api import Page, sync_playwright

from benchmarks.browsers import FRAMES, HEAP, SIZE, drawing_mb, launched
from benchmarks.load import FIRST_MS, Plant
from benchmarks.machine import Machine, machine
from benchmarks.servers import cpu_seconds, gaugewatch
from benchmarks.sheet import Sheet, figure, keep, show
from benchmarks.shipped import BUNDLES, chosen_bundle

RESULTS = Path("benchmarks/results/provide.json")
QUICK_ROWS = 4_000
LOOK_SECONDS = 5
PATIENCE_MS = 2 * 3_600_000.0
LONG_TASKS = """() => {
  window.longTasks = [];
  const keep = (list) => window.longTasks.push(...list.getEntries().map((one) => one.duration));
  new PerformanceObserver(keep).observe({ type: "longtask" });
}"""


class Result(Struct, frozen=True):
    """Everything that is kept."""

    machine: Machine
    model: str
    rows: int
    dimensions: int
    file_mb: float
    read_seconds: float  # from the choice of the file until its columns are shown
    first_drawn_seconds: float  # from the start of the scoring
    scored_seconds: float
    service_cpu_seconds: float  # of them
    frames_per_second: list[float]  # of every second of the scoring
    long_tasks_ms: list[float]
    heap_mb: list[float]  # every five seconds
    process_mb: list[float]  # the same


def main(
    output: Annotated[Path, typer.Option(help="Where the figures go.")] = RESULTS,
    bundles: Annotated[Path, typer.Option(help="Folder of bundles.")] = BUNDLES,
    rows: Annotated[int, typer.Option(min=1_000)] = 1_000_000,
    quick: Annotated[bool, typer.Option("--quick", help="Some thousand rows.")] = False,
) -> None:
    """Measure a file of so many points."""
    rows = QUICK_ROWS if quick else rows
    facts, bundle = machine(), chosen_bundle(bundles)
    names = bundle.manifest.dimensions
    with (
        tempfile.TemporaryDirectory(prefix="gaugewatch-bench-") as folder,
        gaugewatch(bundle, "everysec", Path(folder)) as running,
        sync_playwright() as playwright,
    ):
        file = Path(folder) / "long.csv"
        _write(file, names, Plant(bundle), rows)
        browser = launched(playwright)
        page = browser.new_page(viewport=SIZE)
        page.set_default_timeout(PATIENCE_MS)
        page.goto(f"http://127.0.0.1:{running.face.port}/#/provide")
        page.get_by_text("Bring a file of one entity").wait_for()
        start = time.monotonic()
        page.locator(".drop input[type=file]").set_input_files(file)
        page.get_by_label("Bundle", exact=True).select_option(bundle.title)
        read_seconds = time.monotonic() - start
        page.evaluate(FRAMES)
        page.evaluate(LONG_TASKS)
        before = cpu_seconds(running.service_pid)
        start = time.monotonic()
        page.get_by_role("button", name="Score ").click()
        page.locator(".u-over").first.wait_for()
        first_drawn_seconds = time.monotonic() - start
        heap, process = _watched(page)
        result = Result(
            facts,
            bundle.title,
            rows,
            len(names),
            file_mb=file.stat().st_size / 1e6,
            read_seconds=read_seconds,
            first_drawn_seconds=first_drawn_seconds,
            scored_seconds=time.monotonic() - start,
            service_cpu_seconds=cpu_seconds(running.service_pid) - before,
            frames_per_second=[frames for frames, _ in page.evaluate("() => window.framesSeen")],
            long_tasks_ms=page.evaluate("() => window.longTasks"),
            heap_mb=heap,
            process_mb=process,
        )
        browser.close()
    keep(output, result)
    show(output, list(sheets(result)), machine=facts.line)


def sheets(result: Result) -> Iterator[Sheet]:
    """What a person would notice."""
    frames, tasks = sorted(result.frames_per_second), sorted(result.long_tasks_ms)
    rate = result.rows / result.scored_seconds
    per_cpu = result.rows / result.service_cpu_seconds
    yield Sheet(
        name="provide",
        said=f"A CSV of {result.rows:,} points of {result.dimensions} dimensions "
        f"({result.file_mb:,.0f} MB), {result.model}, Chromium without a GPU on the machine that "
        "also serves (persistence: everysec).",
        head=("what", "", "worst"),
        lines=[
            ["read, seconds", figure(result.read_seconds), ""],
            ["first drawn after the start, seconds", figure(result.first_drawn_seconds), ""],
            ["scored, seconds", figure(result.scored_seconds), ""],
            ["points per second", figure(rate), ""],
            ["points per CPU-second of the service", figure(per_cpu), ""],
            ["frames per second, by second (median)", figure(median(frames)), figure(frames[0])],
            [
                "long tasks, and the longest in ms",
                str(len(tasks)),
                figure(tasks[-1]) if tasks else "",
            ],
            ["heap of JavaScript, MB (median)", *_figures(result.heap_mb)],
            ["memory of its process, MB (median)", *_figures(result.process_mb)],
        ],
    )


def _figures(all_: list[float]) -> tuple[str, str]:
    return figure(median(all_)), figure(max(all_))


def _write(file: Path, names: tuple[str, ...], plant: Plant, rows: int) -> None:
    """Different rows in turn, with a time of their own, and some that differ from all others."""
    texts = [",".join(f"{value:.5g}" for value in row) for row in plant.values]
    odd = [",".join(f"{value:.5g}" for value in row) for row in 3 * plant.values]
    random = np.random.default_rng(0)
    kinds, is_odd = random.integers(len(texts), size=rows), random.random(rows) < 1e-3
    with file.open("w") as out:
        out.write(",".join(["timestamp_ms", *names]) + "\n")
        for row, (kind, strange) in enumerate(zip(kinds.tolist(), is_odd.tolist(), strict=True)):
            out.write(f"{FIRST_MS + 60_000 * row},{(odd if strange else texts)[kind]}\n")


def _watched(page: Page) -> tuple[list[float], list[float]]:
    """Heap and process every few seconds until all is scored, while somebody uses the page."""
    heap, process = [], []
    chart, done = page.locator(".u-over").first, page.get_by_text("points scored in")
    for turn in range(10**6):
        heap.append(page.evaluate(HEAP) / 1e6)
        process.append(drawing_mb())
        end = time.monotonic() + LOOK_SECONDS
        while time.monotonic() < end:
            if done.count():
                return heap, process
            chart.hover(position={"x": 100 + 40 * (turn % 20), "y": 40})
            page.wait_for_timeout(300)
    raise AssertionError("expected it to end")


if __name__ == "__main__":
    typer.run(main)
