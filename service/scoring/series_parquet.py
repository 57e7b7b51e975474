"""Series from Parquet: one row a point of any entity; several files of the same dimensions merge.

The service records such files and marks them: their first two columns are entity and milliseconds,
all others dimensions, whatever they are called.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from service.errors import BadSeries
from service.scoring.parquet_columns import (
    Column,
    milliseconds,
    moments,
    numbers,
    owners,
    pyarrow,
)
from service.scoring.series_csv import TIMESTAMP_NAMES
from service.scoring.series_types import FloatArray, Series, expanded, positions
from service.scoring.timestamps import Place, by_period

RECORDED: Final = {b"gaugewatch": b"points/1"}  # metadata of a recorded file


@dataclass(frozen=True)
class _Header:
    """Which columns of a file are what."""

    names: list[str]
    entity: int | None
    timestamp: int | None
    label: int | None
    dimensions: list[int]
    is_recorded: bool = False


@dataclass(frozen=True)
class _Points:
    """The points of one file, in its order."""

    entities: list[str]
    owners: npt.NDArray[np.int64]  # (point,) number of its entity
    timestamps_ms: npt.NDArray[np.int64]  # (point,)
    values: FloatArray  # (point, dimension), NaN = missing
    label: npt.NDArray[np.bool_] | None  # (point,)

    def by_entity(self) -> dict[str, "_Points"]:
        """The same points, apart."""
        order = np.argsort(self.owners, kind="stable")
        ends = np.cumsum(np.bincount(self.owners, minlength=len(self.entities)))
        parts = zip(self.entities, np.split(order, ends[:-1]), strict=True)
        return {entity: self._chosen(entity, rows) for entity, rows in parts}

    def _chosen(self, entity: str, rows: npt.NDArray[np.intp]) -> "_Points":
        label = None if self.label is None else self.label[rows]
        stamps, values = self.timestamps_ms[rows], self.values[rows]
        return _Points([entity], np.zeros(len(rows), np.int64), stamps, values, label)


def read_parquet(
    paths: Sequence[Path],
    columns: Sequence[str] | None,
    timestamp_column: str | None,
    *,
    period_seconds: float,
) -> list[Series]:
    """The series of all files, sorted by entity; of equal timestamps the first is kept."""
    names: tuple[str, ...] | None = None
    parts: dict[str, list[_Points]] = {}
    for path in paths:
        header, table, place = _opened(path, columns, timestamp_column)
        own = tuple(header.names[i] for i in header.dimensions)
        names = names or own
        if own != names:
            raise BadSeries(
                f"{path}: expected the dimensions of {paths[0]}, {list(names)}, came {list(own)}; "
                "choose one folder, or columns that all files have"
            )
        points = _points(path, header, table, place=place, period_seconds=period_seconds)
        for entity, part in points.by_entity().items():
            parts.setdefault(entity, []).append(part)
    return [_merged(entity, names or (), parts[entity]) for entity in sorted(parts)]


def _merged(entity: str, names: tuple[str, ...], parts: Sequence[_Points]) -> Series:
    timestamps_ms = np.concatenate([part.timestamps_ms for part in parts])
    stamps, first = np.unique(timestamps_ms, return_index=True)  # of equal ones the first
    values = np.concatenate([part.values for part in parts])[first]
    labels = [part.label for part in parts if part.label is not None]
    label = np.concatenate(labels)[first] if len(labels) == len(parts) else None
    return Series(entity, names, stamps, values, label, ())


def _opened(
    path: Path, columns: Sequence[str] | None, timestamp_column: str | None
) -> tuple[_Header, Any, Place]:
    """What a file holds, read group after group, so that a damaged one is named."""
    arrow, where, groups = pyarrow(), f"{path}", []
    try:
        with arrow.parquet.ParquetFile(path) as file:
            header = _header(path, file.schema_arrow, columns, timestamp_column)
            for number in range(file.num_row_groups):
                where = f"{path}: row group {number}"
                groups.append(file.read_row_group(number))
    except (OSError, arrow.ArrowException) as problem:
        raise BadSeries(f"{where}: expected a Parquet file: {problem}") from problem
    starts = [0, *accumulate(len(group) for group in groups)]
    if starts[-1] == 0:
        raise BadSeries(f"{path}: expected at least one row")

    def place(row: int) -> str:
        number = int(np.searchsorted(starts, row, side="right")) - 1
        return f"{path}: row group {number}, row {row - starts[number]} of it (from 0)"

    return header, arrow.concat_tables(groups), place


def _header(
    path: Path, schema: Any, columns: Sequence[str] | None, timestamp_column: str | None
) -> _Header:
    names = [str(name) for name in schema.names]
    if RECORDED.items() <= (schema.metadata or {}).items():
        chosen = names[2:] if columns is None else expanded(names[2:], columns)
        dimensions = positions(path, names[2:], chosen)
        return _Header(names, 0, 1, None, [2 + i for i in dimensions], is_recorded=True)
    lower = [name.lower() for name in names]
    if len(set(lower)) < len(lower):
        raise BadSeries(f"{path}: expected different names of columns, came {names}")
    wanted = TIMESTAMP_NAMES if timestamp_column is None else (timestamp_column.lower(),)
    timestamp = next((lower.index(name) for name in wanted if name in lower), None)
    entity, label = (lower.index(name) if name in lower else None for name in ("entity", "label"))
    if timestamp is None and (entity is not None or timestamp_column is not None):
        sought = timestamp_column or "timestamp"
        raise BadSeries(f"{path}: expected a column {sought!r}, came {names}")
    aside = {entity, timestamp, label}
    others = [name for i, name in enumerate(names) if i not in aside]
    others = others if columns is None else expanded(others, columns)
    return _Header(names, entity, timestamp, label, positions(path, names, others))


def _points(
    path: Path, header: _Header, table: Any, *, place: Place, period_seconds: float
) -> _Points:
    def column(index: int) -> Column:
        return Column(path, header.names[index], table.column(index), place)

    values = np.empty((len(table), len(header.dimensions)))  # (point, dimension)
    for number, index in enumerate(header.dimensions):
        values[:, number] = numbers(column(index))
    entities, numbered = [path.stem], np.zeros(len(table), np.int64)
    if header.entity is not None:
        entities, numbered = owners(column(header.entity))
    if header.timestamp is None:
        stamps = by_period(np.arange(len(table)), period_seconds)
    else:
        stamps = (milliseconds if header.is_recorded else moments)(column(header.timestamp))
    label = None if header.label is None else numbers(column(header.label)) > 0
    return _Points(entities, numbered, stamps, values, label)
