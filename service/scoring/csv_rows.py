"""Rows of CSV text, with the line each stands on; and their cells by column, read in chunks."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TextIO

import numpy as np

from service.errors import BadSeries
from service.scoring.csv_cells import numbers
from service.scoring.series_types import FloatArray
from service.scoring.timestamps import Place

ROWS_AT_ONCE = 20_000  # so that the text of a file is never in memory as a whole
MAX_LINE_CHARACTERS = 2**20

Row = tuple[int, list[str]]


@dataclass(frozen=True)
class Cells:
    """What was read of a table: numbers of some columns, the text of others."""

    values: FloatArray  # (time, dimension), NaN = missing
    texts: dict[int, list[str]]  # column -> its cells
    place: Place  # names the line of a row


def rows_of(path: Path, file: TextIO, *, skip: int = 0) -> Iterator[Row]:
    """Rows after the first `skip` lines, with line numbers as an editor shows them.

    Blank lines are left out. All rows must be as long as the first, before many of them are in
    memory.
    """
    file.seek(0)
    delimiter = max(",;\t", key=next(islice(file, skip, None), "").count)
    file.seek(0)
    reader = csv.reader(islice(_lines(path, file), skip, None), delimiter=delimiter, strict=True)
    width = 0
    for row in reader:
        if row:
            width = width or len(row)
            line = reader.line_num + skip
            if len(row) != width:
                raise BadSeries(f"{path}: row {line}: expected {width} cells, came {len(row)}")
            yield line, row


def _lines(path: Path, file: TextIO) -> Iterator[str]:
    for number, line in enumerate(file, start=1):
        if len(line) > MAX_LINE_CHARACTERS:
            raise BadSeries(
                f"{path}: row {number}: expected at most {MAX_LINE_CHARACTERS} characters, "
                f"came {len(line)}"
            )
        yield line


def read_cells(
    path: Path,
    names: Sequence[str],
    rows: Iterator[Row],
    *,
    dimensions: Sequence[int],
    aside: Sequence[int],
) -> Cells:
    """The numbers of the columns `dimensions`, and the texts `aside`; raises BadSeries."""
    lines: list[int] = []
    chunks: list[FloatArray] = []
    texts: dict[int, list[str]] = {index: [] for index in aside}
    while batch := list(islice(rows, ROWS_AT_ONCE)):
        columns = list(zip(*(cells for _, cells in batch), strict=True))
        place = partial(_line, path, [line for line, _ in batch])
        values = [numbers(columns[i], names[i], place=place) for i in dimensions]
        chunks.append(np.stack(values, axis=1))  # (time, dimension)
        lines += [line for line, _ in batch]
        for index, cells in texts.items():
            cells += columns[index]
    if not chunks:
        raise BadSeries(f"{path}: expected at least one row below the header")
    return Cells(np.concatenate(chunks), texts, partial(_line, path, lines))


def _line(path: Path, lines: Sequence[int], row: int) -> str:
    return f"{path}: row {lines[row]}"
