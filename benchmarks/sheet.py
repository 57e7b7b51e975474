"""Sheets: what a benchmark shows, the same in a terminal and in a page; and where it is kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from trainer.tables import markdown


@dataclass(frozen=True)
class Sheet:
    """One table with its name in the page; `said` stands above it and names what was measured."""

    name: str
    said: str
    head: Sequence[str]
    lines: Sequence[Sequence[str]]

    @property
    def page(self) -> str:
        """As Markdown."""
        return f"{self.said}\n\n{markdown(list(self.head), [list(line) for line in self.lines])}"

    @property
    def table(self) -> Table:
        """For a terminal."""
        shown = Table(title=self.said, title_justify="left")
        for number, name in enumerate(self.head):
            shown.add_column(name, justify="right" if number else "left")
        for line in self.lines:
            shown.add_row(*line)
        return shown


def figure(value: float) -> str:
    """Three digits that count, and no more than there are."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def keep(path: Path, result: object) -> None:
    """Write a result as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(result)) + b"\n")


def show(path: Path, sheets: Sequence[Sheet], *, machine: str) -> None:
    """Print the sheets, the machine and where everything was written."""
    console = Console()
    for sheet in sheets:
        console.print(sheet.table)
    console.print(machine, highlight=False)
    console.print(f"all rounds: {path}", soft_wrap=True)
