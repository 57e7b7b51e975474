"""The exhibit: one suite with all its runs, as its pictures ask for them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from trainer.benchmark.plots import COLORS
from trainer.benchmark.results import RunResult, Trace, read_trace, traces_path
from trainer.benchmark.summary import SuiteSummary

FOLDER = "pictures"


@dataclass(frozen=True)
class Picture:
    """A file of the page, and what to say below it."""

    path: str  # from the page
    caption: str


@dataclass(frozen=True)
class Exhibit:
    """One suite with all its runs."""

    output: Path
    name: str
    summary: SuiteSummary
    runs: Sequence[RunResult]
    default: str
    others: tuple[str, ...]  # whom the default is compared with; the first is the anchor

    def runs_of(self, row: str) -> list[RunResult]:
        """The runs of a row, one per seed."""
        return [run for run in self.runs if run.row == row]

    def title(self, row: str) -> str:
        """What the row is called."""
        return self.summary.rows[row].title

    def picture(self, name: str, caption: str) -> tuple[Path, Picture]:
        """Where a picture is written, and how the page shows it."""
        path = f"{FOLDER}/{self.name}-{name}.png"
        return self.output / path, Picture(path, caption)

    @property
    def anchor(self) -> str:
        """Whom the default must beat first."""
        return self.others[0]

    @property
    def shown(self) -> list[str]:
        """The rows of a chart with few lines: the default, the others, those that are no floors."""
        first = [row for row in (self.default, *self.others) if row in self.summary.rows]
        more = [name for name, row in self.summary.rows.items() if not row.is_floor]
        return list(dict.fromkeys([*first, *more]))[: len(COLORS)]

    @property
    def colors(self) -> dict[str, str]:
        """Title of a shown row -> its color, the same in every picture."""
        return {self.title(row): color for row, color in zip(self.shown, COLORS, strict=False)}

    def traces(self, run: RunResult) -> Iterator[Trace]:
        """Those of every case that are there."""
        path = traces_path(self.output, run.suite, run.row, run.seed)
        found = (read_trace(path, entity) for entity in run.entities)
        return (trace for trace in found if trace is not None)
