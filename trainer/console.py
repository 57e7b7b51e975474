"""What a person sees at the terminal: results on stdout, progress and errors on stderr."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from service.scoring.bundle import Bundle
from trainer.attended import Stages, Tell
from trainer.evaluate import Measures
from trainer.options import Option
from trainer.tables import table


def print_json(value: object) -> None:
    """One line of JSON on stdout."""
    print(json.dumps(value))  # noqa: T201  the result itself


def complain(text: str, code: int) -> int:
    """One red line on stderr; returns the exit code."""
    line = " ".join(text.split())
    Console(stderr=True, soft_wrap=True).print(f"[red]error:[/red] {escape(line)}", highlight=False)
    return code


def warn(text: str) -> None:
    """One yellow line on stderr."""
    line = f"[yellow]warning:[/yellow] {escape(text)}"
    Console(stderr=True, soft_wrap=True).print(line, highlight=False)


def note(text: str) -> None:
    """One line on stderr."""
    Console(stderr=True, soft_wrap=True).print(escape(text), highlight=False)


def show(bundle: Bundle, rows: dict[str, Measures]) -> None:
    """The table of measures, and where the bundle lies."""
    console = Console()
    if rows:
        show_table(bundle.title, *table(rows))
    else:
        console.print("no labelled test half: nothing was measured")
    console.print(escape(str(bundle.folder)), soft_wrap=True, highlight=False)


def show_options(options: Sequence[Option]) -> None:
    """The table of knobs."""
    grid = Table()
    for title in ("knob", "default", "allowed", "meaning"):
        grid.add_column(title, overflow="fold")
    for option in options:
        grid.add_row(*map(escape, option))
    Console().print(grid)


class Screen(NamedTuple):
    """Where a run tells how far it is."""

    stage: Stages
    say: Callable[[str], None]  # one line above the progress


def show_table(title: str, head: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    """A table on stdout: text on the left, numbers on the right."""
    grid = Table(title=escape(title))
    for number, name in enumerate(head):
        grid.add_column(name, justify="right" if number else "left", overflow="fold")
    for line in lines:
        grid.add_row(*line)
    Console().print(grid)


@contextmanager
def live(prefix: str, *, is_quiet: bool = False) -> Iterator[Screen]:
    """Live progress on stderr, one line per stage; nothing of it if quiet."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=10),
        TaskProgressColumn(),
        TextColumn("{task.fields[detail]}"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True, quiet=is_quiet)
    with Progress(*columns, console=console, disable=is_quiet) as progress:

        def stage(title: str, *, total: float | None) -> Tell:
            task = progress.add_task(escape(prefix + title), total=total, detail="")

            def tell(completed: float, detail: str = "") -> None:
                progress.update(task, completed=completed, detail=detail)

            return tell

        def say(text: str) -> None:
            console.print(escape(prefix + text), highlight=False, soft_wrap=True)

        yield Screen(stage, say)


def ignore(text: str) -> None:
    """A line that nobody wants."""


def summary(bundle: Bundle, seconds: float) -> dict[str, object]:
    """What is said of a new bundle in JSON."""
    manifest = bundle.manifest
    return {
        "name": manifest.name,
        "version": manifest.version,
        "folder": str(bundle.folder),
        "entities": len(manifest.entities),
        "dimensions": len(manifest.dimensions),
        "seconds": round(seconds, 1),
        "metrics": manifest.metrics,
    }
