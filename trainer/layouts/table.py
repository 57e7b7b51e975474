"""CSV tables as published: a header under other lines, columns that are no dimensions."""

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from service.errors import BadSeries
from service.scoring.csv_rows import Row, read_cells, rows_of
from service.scoring.series import FloatArray
from service.scoring.timestamps import EPOCH, Place, iso_ms

HEADER_WITHIN = 10  # lines
CLOCKS = ("%d/%m/%Y %I:%M:%S %p", "%d/%m/%Y %H:%M:%S")  # beside ISO 8601

Role = Literal["dimension", "text", "ignored"]


@dataclass(frozen=True)
class Table:
    """Its dimensions as numbers, and the text of the columns that are read otherwise."""

    names: tuple[str, ...]  # of dimensions
    values: FloatArray  # (time, dimension), NaN = missing
    texts: dict[str, list[str]]  # name in lower case -> cells
    place: Place


@dataclass(frozen=True)
class Form:
    """How the tables of a layout look."""

    marker: str  # a name in the header, lower case
    role: Callable[[str], Role]  # of a column, by its clean name in lower case
    clean: Callable[[str], str] = str.strip
    is_decimal_comma: bool = False  # some copies have 2,5 for 2.5


def read_table(path: Path, form: Form) -> Table:
    """Read a whole table; rows without any value are left out. Raises BadSeries."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            skip = _above_header(path, file, form)
            rows = rows_of(path, file, skip=skip)
            _, header = next(rows)
            return _table(path, [form.clean(cell) for cell in header], rows, form=form)
    except (OSError, UnicodeDecodeError, csv.Error) as problem:
        raise BadSeries(f"{path}: expected CSV text in UTF-8: {problem}") from problem


def has_header(path: Path, *names: str) -> bool:
    """Whether one of the first lines holds all these names, whatever is around them."""
    try:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            return any(set(names) <= _cells(line) for line in islice(file, HEADER_WITHIN))
    except OSError:
        return False


def _cells(line: str) -> set[str]:
    cells = line.replace(";", ",").replace("\\", ",").split(",")
    return {cell.strip().strip('"').strip().lower() for cell in cells}


def _above_header(path: Path, file: Iterator[str], form: Form) -> int:
    """How many lines stand above the header."""
    for skip, line in enumerate(islice(file, HEADER_WITHIN)):
        if form.marker in _cells(line):
            return skip
    raise BadSeries(
        f"{path}: expected a header with a column {form.marker!r} in the first {HEADER_WITHIN} "
        "lines, found none"
    )


def _table(path: Path, names: Sequence[str], rows: Iterator[Row], *, form: Form) -> Table:
    roles = [form.role(name.lower()) for name in names]
    dimensions, aside = (
        [column for column, role in enumerate(roles) if role == wanted]
        for wanted in ("dimension", "text")
    )
    chosen = tuple(names[column] for column in dimensions)
    if len(set(chosen)) < len(chosen) or not all(chosen):
        raise BadSeries(f"{path}: expected different names of dimensions, came {list(chosen)}")
    rows = ((line, cells) for line, cells in rows if any(map(str.strip, cells)))
    if form.is_decimal_comma:
        rows = ((line, _with_points(cells)) for line, cells in rows)
    cells = read_cells(path, names, rows, dimensions=dimensions, aside=aside)
    texts = {names[column].lower(): text for column, text in cells.texts.items()}
    return Table(chosen, cells.values, texts, cells.place)


def _with_points(cells: list[str]) -> list[str]:
    if "," not in "".join(cells):  # as in nearly all rows
        return cells
    return [cell.replace(",", ".") for cell in cells]


def clock_ms(cells: Sequence[str], place: Place) -> npt.NDArray[np.int64]:
    """Milliseconds of ISO 8601 or of day/month/year; the first cell tells which. UTC."""
    read = next((one for one in (iso_ms, *map(_reader, CLOCKS)) if _reads(one, cells[0])), iso_ms)
    found = np.empty(len(cells), np.int64)
    for row, cell in enumerate(cells):
        try:
            found[row] = read(cell)
        except ValueError as problem:
            raise BadSeries(
                f"{place(row)}: expected a timestamp like the first, {cells[0]!r}, came {cell!r}"
            ) from problem
    return found


def _reader(form: str) -> Callable[[str], int]:
    def read(cell: str) -> int:
        moment = datetime.strptime(cell.strip(), form).replace(tzinfo=UTC)
        return round((moment - EPOCH).total_seconds() * 1000)

    return read


def _reads(read: Callable[[str], int], cell: str) -> bool:
    try:
        read(cell)
    except ValueError:
        return False
    return True
