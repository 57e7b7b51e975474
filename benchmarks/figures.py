"""Fills the tables and pictures of README and docs from the results in the repository.

    python -m benchmarks.figures

Results come from `make bench` and `make detection`. Each table stands between
`<!-- figures:NAME -->` and `<!-- /figures -->`; `picture-NAME` shows a picture, if there is one.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from benchmarks.detection import PICTURES, SHOWN
from benchmarks.tables import TABLES

PAGES = (Path("README.md"), Path("docs/detection.md"))
BENCH = Path("benchmarks/results/ingest.json")
PLACE = re.compile(r"<!-- figures:([\w-]+) -->.*?<!-- /figures -->", re.DOTALL)


def main() -> None:
    """Write every table anew."""
    for page in PAGES:
        page.write_text(filled(page.read_text()))


def filled(text: str, lines_of: Callable[[str], Iterable[str]] | None = None) -> str:
    """The text with its tables up to date; `lines_of` a name, if they are not this module's."""

    def place(match: re.Match[str]) -> str:
        lines = "\n".join((lines_of or _lines)(match[1]))
        return f"<!-- figures:{match[1]} -->\n{lines}\n<!-- /figures -->"

    return PLACE.sub(place, text)


def _lines(name: str) -> Iterator[str]:
    if name == "bench":
        return _bench()
    if name.startswith("picture-"):
        return _picture(name.removeprefix("picture-"))
    return TABLES[name]()


def _picture(name: str) -> Iterator[str]:
    """As a page in docs shows it; nothing where the benchmark had no numbers for it."""
    if (SHOWN / f"{name}.png").is_file():
        yield f"![{PICTURES[name]}]({SHOWN.name}/{name}.png)"


def _bench() -> Iterator[str]:
    yield from ingest_lines(BENCH)
    yield ""
    yield (
        "One lone connection is slower than the naive service, which does none of the normalising, "
        "calibration, incidents and idempotency; under load the batches pay for it."
    )


def ingest_lines(path: Path) -> Iterator[str]:
    """What `benchmarks.ingest` measured."""
    result = json.loads(path.read_text())
    machine = result["machine"]
    yield (
        f"{machine['cores']} cores ({machine['cpu']}), {machine['dimensions']} dimensions, "
        f"{machine['store'].split(' ')[0]}; points per second, in brackets per CPU-second of the "
        "service. The naive service keeps a Redis list per entity and runs the whole window again."
    )
    yield ""
    yield "| persistence | requests | Gaugewatch | naive | ratio per CPU-s | p50 / p99 ms, ours |"
    yield "|---|---|---:|---:|---:|---:|"
    for one in result["summary"]:
        ours, naive = one["gaugewatch"], one["naive"]
        yield (
            f"| {one['durability']} | {one['load']} | {_rate(ours)} | {_rate(naive)} "
            f"| {one['ratio']['points_per_service_cpu_second']:.1f} "
            f"| {ours['latency_ms_p50']:.1f} / {ours['latency_ms_p99']:.1f} |"
        )


def _rate(one: dict[str, float]) -> str:
    per_cpu = one["points_per_service_cpu_second"]
    return f"{one['points_per_second']:,.0f} ({per_cpu:,.0f})"


if __name__ == "__main__":
    main()
