"""`make bench`: every benchmark of speed in order, and the page that shows them.

    python -m benchmarks.speed [--quick] [--only NAME]

Each runs in a process of its own, so that none warms the next or takes its memory. `--quick` shows
that they work: it writes into `build/bench` and leaves results and page of the repository alone.
The page also shows what `benchmarks.memory`, `benchmarks.provide` and `benchmarks.every_model`
found, which run by themselves: `--page` writes it anew and runs nothing.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Generic, Protocol, TypeVar

import msgspec
import typer

from benchmarks import (
    commits,
    entities,
    every_model,
    figures,
    latency,
    latency_figures,
    memory,
    model_servers,
    own_bundles,
    page,
    provide,
    stages,
    startup,
    steps,
    streaming_peers,
    training,
)
from benchmarks.machine import Machine
from benchmarks.sheet import Sheet

PAGE = Path("docs/benchmarks.md")
QUICK = Path("build/bench")
PICTURES = {
    "latency": "Latency of single points against offered load",
    "throughput": "Points per second against points per request",
}
PAPER_BUNDLES = Path("build/paper-bundle")
NOT_YET = "Not measured yet; `make bench` does."


class _Result(Protocol):
    @property
    def machine(self) -> Machine: ...


R = TypeVar("R", bound=_Result)


@dataclass(frozen=True)
class Bench(Generic[R]):
    """One benchmark: where its figures are, what they are, and what it shows of them."""

    path: Path
    kind: type[R]
    sheets: Callable[[R], Iterator[Sheet]]

    def blocks(self, folder: Path) -> Iterator[tuple[str, str]]:
        """Names and text of what it shows, from the results in a folder."""
        path = folder / self.path.name
        if path.is_file():
            result = msgspec.json.decode(path.read_bytes(), type=self.kind)
            machine = result.machine
            yield f"machine-{self.path.stem}", f"{machine.measured_at[:10]}, {machine.line}"
            yield from ((sheet.name, sheet.page) for sheet in self.sheets(result))


BENCHES = (
    Bench(steps.RESULTS, steps.Result, steps.sheets),
    Bench(training.RESULTS, training.Result, training.sheets),
    Bench(commits.RESULTS, commits.Result, commits.sheets),
    Bench(entities.RESULTS, entities.Result, entities.sheets),
    Bench(own_bundles.RESULTS, own_bundles.Result, own_bundles.sheets),
    Bench(stages.RESULTS, stages.Result, stages.sheets),
    Bench(latency.RESULTS, latency_figures.Result, latency_figures.sheets),
    Bench(streaming_peers.RESULTS, streaming_peers.Result, streaming_peers.sheets),
    Bench(model_servers.RESULTS, model_servers.Result, model_servers.sheets),
    Bench(startup.RESULTS, startup.Result, startup.sheets),
    Bench(page.RESULTS, page.Result, page.sheets),
)
BY_THEMSELVES = (
    Bench(memory.RESULTS, memory.Result, memory.sheets),
    Bench(provide.RESULTS, provide.Result, provide.sheets),
    Bench(every_model.RESULTS, every_model.Result, every_model.sheets),
)
INGEST, INGEST_PAPER = "ingest", "ingest-paper"
NAMES = (INGEST, *(bench.path.stem for bench in BENCHES), INGEST_PAPER)


def main(
    quick: Annotated[bool, typer.Option("--quick", help="Only show that all of it works.")] = False,
    only: Annotated[list[str] | None, typer.Option(help="One of them; repeat for more.")] = None,
    page_only: Annotated[bool, typer.Option("--page", help="Run none, write the page.")] = False,
) -> None:
    """Run the benchmarks of speed and write their page."""
    folder = QUICK if quick else steps.RESULTS.parent
    if unknown := set(only or ()) - set(NAMES):
        raise typer.BadParameter(f"expected some of {', '.join(NAMES)}, got {sorted(unknown)}")
    chosen = [] if page_only else [name for name in NAMES if name in (only or NAMES)]
    if quick:
        chosen = [name for name in chosen if name != INGEST_PAPER]
    failed = [name for name in chosen if not _runs(name, folder, is_quick=quick)]
    text = filled(PAGE.read_text(), folder, pictures=_pictures(folder))
    if quick:
        (folder / PAGE.name).write_text(text)
    else:
        PAGE.write_text(text)
        figures.main()
    if failed:
        raise SystemExit(f"these failed, their figures are those of before: {', '.join(failed)}")


def filled(text: str, folder: Path, *, pictures: Path) -> str:
    """The page with its tables up to date."""
    blocks = dict(_blocks(folder, pictures))
    return figures.filled(text, lambda name: [blocks.get(name, NOT_YET)])


def _blocks(folder: Path, pictures: Path) -> Iterator[tuple[str, str]]:
    for bench in (*BENCHES, *BY_THEMSELVES):
        yield from bench.blocks(folder)
    for name in (INGEST, INGEST_PAPER):
        if (path := folder / f"{name}.json").is_file():
            yield name, "\n".join(figures.ingest_lines(path))
    for name, said in PICTURES.items():
        if (pictures / f"{name}.png").is_file():
            yield f"picture-{name}", f"![{said}]({pictures.name}/{name}.png)"


def _pictures(folder: Path) -> Path:
    return folder / "pictures" if folder == QUICK else latency.PICTURES


def _runs(name: str, folder: Path, *, is_quick: bool) -> bool:
    """Run one; whether it ended well. What failed stops none of the others."""
    words = ["--output", str(folder / f"{name}.json"), *(["--quick"] if is_quick else [])]
    if name == latency.RESULTS.stem:
        words += ["--pictures", str(_pictures(folder))]
    print(f"\n{name}", flush=True)
    if name == INGEST_PAPER:
        words += ["--bundles", str(PAPER_BUNDLES), "--rounds", "1"]
        if not _ends_well("paper_bundle", str(PAPER_BUNDLES)):
            return False
    return _ends_well(name.partition("-")[0], *words)


def _ends_well(module: str, *words: str) -> bool:
    return subprocess.run([sys.executable, "-m", f"benchmarks.{module}", *words]).returncode == 0


if __name__ == "__main__":
    typer.run(main)
