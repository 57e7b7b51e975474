"""What a person sees on stderr of many jobs side by side: bars on a terminal, lines elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Protocol

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)


class Watch(Protocol):
    """Hears how the jobs go."""

    def begin(self, *, total: int, reused: int) -> None: ...
    def started(self, name: str) -> None: ...
    def moved(self, name: str, detail: str) -> None: ...
    def ended(self, name: str, *, seconds: float, error: str) -> None: ...
    def left(self, seconds: float | None) -> None: ...


class Lines:
    """One plain line per job that ends."""

    def __init__(self, console: Console, *, jobs: str) -> None:
        self._console, self._jobs = console, jobs
        self._total = self._done = 0
        self._left = ""

    def begin(self, *, total: int, reused: int) -> None:
        """Say what there is to do."""
        self._total = total
        self._say(f"{total} {self._jobs} to do, {reused} done before")

    def started(self, name: str) -> None:
        """Nothing: the end is told."""

    def moved(self, name: str, detail: str) -> None:
        """Nothing: the end is told."""

    def ended(self, name: str, *, seconds: float, error: str) -> None:
        """Say how it ended."""
        self._done += 1
        how = f"failed: {error}" if error else f"{seconds:.1f} s"
        self._say(f"[{self._done}/{self._total}{self._left}] {name}: {how}")

    def left(self, seconds: float | None) -> None:
        """Kept for the next line."""
        self._left = "" if seconds is None else f", {_time(seconds)} left"

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


class Bars:
    """A bar over all jobs, and a line for each that runs; failures stay above."""

    def __init__(self, progress: Progress, *, title: str, jobs: str) -> None:
        self._progress, self._title, self._jobs = progress, title, jobs
        self._all: TaskID | None = None
        self._lines: dict[str, TaskID] = {}

    def begin(self, *, total: int, reused: int) -> None:
        """Draw the bar over all."""
        name = f"{self._title} ({reused} {self._jobs} done before)" if reused else self._title
        self._all = self._progress.add_task(name, total=total, detail="")

    def started(self, name: str) -> None:
        """Draw a line."""
        self._lines[name] = self._progress.add_task(escape(name), total=None, detail="")

    def moved(self, name: str, detail: str) -> None:
        """Tell the line how far it is."""
        if name in self._lines:
            self._progress.update(self._lines[name], detail=detail)

    def ended(self, name: str, *, seconds: float, error: str) -> None:  # noqa: ARG002
        """Remove the line."""
        if name in self._lines:
            self._progress.remove_task(self._lines.pop(name))
        if error:
            text = f"[red]failed:[/red] {escape(name)}: {escape(error)}"
            self._progress.console.print(text, highlight=False, soft_wrap=True)
        if self._all is not None:
            self._progress.advance(self._all)

    def left(self, seconds: float | None) -> None:
        """Say it beside the bar over all."""
        if self._all is not None:
            detail = "" if seconds is None else f"{_time(seconds)} left"
            self._progress.update(self._all, detail=detail)


@contextmanager
def watching(
    console: Console | None = None, *, title: str = "benchmark", jobs: str = "jobs"
) -> Iterator[Watch]:
    """The watch that suits the terminal, or none; `jobs` is what they are called."""
    console = console or Console(stderr=True)
    if not console.is_terminal:
        yield Lines(console, jobs=jobs)
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=16),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[detail]}"),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        yield Bars(progress, title=title, jobs=jobs)


def _time(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
