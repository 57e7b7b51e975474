"""Series from CSV: a header line, one row a point; read in chunks, explained by line."""

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TextIO

import numpy as np
import numpy.typing as npt

from service.errors import BadSeries
from service.scoring.csv_cells import clock, flags
from service.scoring.csv_rows import Cells, Row, read_cells, rows_of
from service.scoring.series_types import Segment, Series, expanded, positions
from service.scoring.timestamps import Place, by_period, increasing

TIMESTAMP_NAMES = ("timestamp", "timestamp_ms", "time", "date", "datetime", "ts")


@dataclass(frozen=True)
class _Header:
    """Where a CSV file keeps what."""

    names: list[str]
    timestamp: int | None
    label: int | None
    culprits: int | None
    dimensions: list[int]


def read_csv(
    path: Path, columns: Sequence[str] | None, *, timestamp_column: str | None, period: float
) -> Series:
    """Read a whole file; raise BadSeries."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return parse_csv(
                path, file, columns=columns, timestamp_column=timestamp_column, period=period
            )
    except OSError as problem:
        raise BadSeries(f"{path}: expected CSV text in UTF-8: {problem}") from problem


def parse_csv(
    path: Path,
    file: TextIO,
    *,
    columns: Sequence[str] | None,
    timestamp_column: str | None,
    period: float,
) -> Series:
    """Read a whole text that can be rewound; `path` is its name. Raises BadSeries."""
    try:
        rows = rows_of(path, file)
        _, names = next(rows, (1, []))
        header = _header(path, names, columns, timestamp_column=timestamp_column)
        return _parse(path, header, rows, period=period)
    except (UnicodeDecodeError, csv.Error) as problem:
        raise BadSeries(f"{path}: expected CSV text in UTF-8: {problem}") from problem


def names_of(path: Path, file: TextIO) -> list[str]:
    """The cells of the header; then the text is at its start again. Raises BadSeries."""
    try:
        _, cells = next(rows_of(path, file), (1, []))
        file.seek(0)
    except (UnicodeDecodeError, csv.Error) as problem:
        raise BadSeries(f"{path}: expected CSV text in UTF-8: {problem}") from problem
    return [cell.strip() for cell in cells]


def _header(
    path: Path, cells: list[str], columns: Sequence[str] | None, *, timestamp_column: str | None
) -> _Header:
    names = [cell.strip() for cell in cells]
    if not any(names):
        raise BadSeries(f"{path}: expected a header line, came an empty one")
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise BadSeries(f"{path}: row 1: expected different names, came {twice} more than once")
    lower = [name.lower() for name in names]
    wanted = TIMESTAMP_NAMES if timestamp_column is None else (timestamp_column.lower(),)
    timestamp = next((lower.index(name) for name in wanted if name in lower), None)
    if timestamp is None and timestamp_column is not None:
        raise BadSeries(f"{path}: row 1: expected a column {timestamp_column!r}, came {names}")
    label = lower.index("label") if "label" in lower else None
    culprits = lower.index("culprits") if "culprits" in lower else None
    others = [i for i in range(len(names)) if i not in {timestamp, label, culprits}]
    if columns is not None:
        others = positions(path, names, expanded([names[i] for i in others], columns))
    if not others or not all(names[i] for i in others):
        raise BadSeries(f"{path}: row 1: expected named dimensions, came {names}")
    return _Header(names, timestamp, label, culprits, others)


def _parse(path: Path, header: _Header, rows: Iterator[Row], *, period: float) -> Series:
    aside = [header.timestamp, header.label, header.culprits]
    cells = read_cells(
        path,
        header.names,
        rows,
        dimensions=header.dimensions,
        aside=[index for index in aside if index is not None],
    )
    return _series(path, header, cells, period=period)


def _series(path: Path, header: _Header, cells: Cells, *, period: float) -> Series:
    texts, place = cells.texts, cells.place
    if header.timestamp is None:
        timestamps_ms = by_period(np.arange(len(cells.values)), period)
    else:
        name = header.names[header.timestamp]
        timestamps_ms = clock(texts[header.timestamp], name, place=place)
    label: npt.NDArray[np.bool_] | None = None
    segments: tuple[Segment, ...] = ()
    if header.label is not None:
        label = flags(texts[header.label], "label", place=place)
    if header.culprits is not None:
        segments = _segments(texts[header.culprits], header, label=label, place=place)
    names = tuple(header.names[i] for i in header.dimensions)
    stamps = increasing(timestamps_ms, place)
    return Series(path.stem, names, stamps, cells.values, label, segments)


def _segments(
    cells: Sequence[str],
    header: _Header,
    *,
    label: npt.NDArray[np.bool_] | None,
    place: Place,
) -> tuple[Segment, ...]:
    """Runs of labelled points with the same culprits: names joined by `|`."""
    position = {header.names[i]: new for new, i in enumerate(header.dimensions)}
    marks = label.tolist() if label is not None else [bool(cell.strip()) for cell in cells]
    segments, start = [], 0
    for (is_labelled, cell), run in groupby(zip(marks, cells, strict=True)):
        end = start + sum(1 for _ in run)
        names = [name.strip() for name in cell.split("|") if name.strip()]
        if not set(names) <= set(header.names):
            raise BadSeries(f"{place(start)}, column culprits: expected dimensions, came {names}")
        if is_labelled:
            chosen = tuple(sorted(position[name] for name in names if name in position))
            segments.append(Segment(start, end - 1, chosen))
        start = end
    return tuple(segments)
