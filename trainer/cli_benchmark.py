"""`gaugewatch-trainer benchmark`: rows against suites, resumable; tables and a page on disk."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from service.errors import SettingInvalid
from trainer.benchmark.bench import Bench, Row
from trainer.benchmark.cases import Suite
from trainer.benchmark.disk import only_writer
from trainer.benchmark.page import write_page
from trainer.benchmark.pictures import MAIN
from trainer.benchmark.plan import choose_rows, make_plan
from trainer.benchmark.results import read_runs
from trainer.benchmark.runs import Failure, run
from trainer.benchmark.sheets import TITLES, write_sheets
from trainer.benchmark.summary import Summary, summarise
from trainer.benchmark.tasks import Place
from trainer.config import Preset
from trainer.console import complain, print_json
from trainer.tables import cell
from trainer.watch import watching

FAILURE, STOPPED = 1, 130

Data = Annotated[Path, typer.Option(help="Folder of the public data sets.")]
Output = Annotated[Path, typer.Option(help="Folder of everything that is made; resumed if there.")]
Suites = Annotated[str | None, typer.Option(help="Separated by commas; all, if not given.")]
Rows = Annotated[str | None, typer.Option(help="Separated by commas; all, if not given.")]
Seeds = Annotated[int | None, typer.Option(min=1, help="Of rows with chance in them.")]
Jobs = Annotated[int | None, typer.Option(min=1, help="Processes; one per core, if not given.")]
PresetName = Annotated[Preset | None, typer.Option("--preset", help="Size of every network.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
ReportOnly = Annotated[bool, typer.Option(help="Write tables and page of what is there.")]


def command(bench: Bench) -> Callable[..., None]:
    """The command for this bench."""

    def benchmark_command(
        data: Data = Path("data"),
        output: Output = Path("benchmark"),
        suites: Suites = None,
        rows: Rows = None,
        seeds: Seeds = None,
        jobs: Jobs = None,
        preset_name: PresetName = None,
        is_json: Json = False,
        report_only: ReportOnly = False,
    ) -> None:
        """Fit, score and measure every row on every suite; what is done is not done again."""
        own = _resized(bench, preset_name)
        chosen, names = choose_rows(own, _names(rows)), _choose_suites(own, _names(suites))
        failures: Sequence[Failure] = ()
        if report_only and not output.is_dir():
            raise SettingInvalid(f"expected the folder of a benchmark, found no {output}")
        with nullcontext() if report_only else only_writer(output):
            if not report_only:
                place = Place(own, chosen, data, output)
                failures = _run(place, names, seeds=seeds, jobs=jobs or _cores())
            for failure in failures:
                complain(f"{failure.name}: {failure.error}", FAILURE)
            summary = _report(own, output)
        if is_json:
            print_json(_answer(summary, output, failures))
        else:
            _show(summary, output)
        if failures:
            raise typer.Exit(FAILURE)

    return benchmark_command


def _run(place: Place, names: Sequence[str], *, seeds: int | None, jobs: int) -> Sequence[Failure]:
    plan = make_plan(_read(place, names), place.rows, output=place.output, seeds=seeds)
    try:
        with watching() as watch:
            return run(plan, place, jobs=jobs, watch=watch)
    except KeyboardInterrupt:
        raise typer.Exit(complain("stopped; the same command goes on from here", STOPPED)) from None


def _read(place: Place, names: Sequence[str]) -> Iterator[Suite]:
    """One suite at a time: together they may be too large."""
    return (place.bench.load_suite(name, place.data) for name in names)


def _report(bench: Bench, output: Path) -> Summary:
    runs = read_runs(output)
    if not runs:
        raise SettingInvalid(f"{output} has no results yet, so there is nothing to report")
    rows = [row.name for row in bench.rows]
    summary = summarise(runs, suites=bench.suites, rows=rows, others=bench.others())
    write_sheets(output, runs, summary)
    write_page(output, runs, summary, bench=bench)
    return summary


def _answer(summary: Summary, output: Path, failures: Sequence[Failure]) -> dict[str, object]:
    failed = {failure.name: failure.error for failure in failures}
    return {"output": str(output), "failures": failed, **summary.model_dump(mode="json")}


def _show(summary: Summary, output: Path) -> None:
    console = Console()
    for suite in summary.suites.values():
        shown = [name for name in MAIN if any(name in row.all for row in suite.rows.values())]
        grid = Table(title=escape(suite.title))
        for number, title in enumerate(("row", *(TITLES[name] for name in shown))):
            grid.add_column(title, justify="right" if number else "left")
        for row in suite.rows.values():
            means = row.untuned or row.all
            values = (means[name].mean if name in means else None for name in shown)
            grid.add_row(escape(row.title), *(cell(value) for value in values))
        console.print(grid)
    console.print(escape(str(output / "index.html")), soft_wrap=True, highlight=False)


def _resized(bench: Bench, name: Preset | None) -> Bench:
    if name is None:
        return bench
    rows: tuple[Row, ...] = tuple(row.resized(name) for row in bench.rows)
    return replace(bench, rows=rows)


def _choose_suites(bench: Bench, names: Sequence[str] | None) -> Sequence[str]:
    if names is None:
        return bench.suites
    if unknown := sorted(set(names) - set(bench.suites)):
        known = ", ".join(bench.suites)
        raise SettingInvalid(f"expected suites of {known}, came {', '.join(unknown)}")
    return [name for name in bench.suites if name in names]


def _names(given: str | None) -> list[str] | None:
    if given is None:
        return None
    return [name.strip() for name in given.split(",") if name.strip()]


def _cores() -> int:
    return len(os.sched_getaffinity(0))
