"""Arrays without a header: comma-separated text and NPY, (time, dimension)."""

import csv
from itertools import chain
from pathlib import Path

import numpy as np

from service.errors import BadSeries
from service.scoring.csv_rows import read_cells, rows_of
from service.scoring.series import FloatArray
from trainer.layouts.source import BoolArray

SUFFIXES = (".npy", ".csv", ".txt")


def read_matrix(path: Path) -> FloatArray:
    """Finite numbers or NaN, (time, dimension), of NPY by its suffix, else of text."""
    matrix = _npy(path) if path.suffix.lower() == ".npy" else _text(path)
    for row, column in np.argwhere(np.isinf(matrix))[:1]:
        raise BadSeries(
            f"{path}: row {row + 1}, column {column + 1}: expected a finite number, came infinity"
        )
    return matrix


def read_label(path: Path, count: int) -> BoolArray:
    """0 or 1 of each of `count` points (time,)."""
    column = read_matrix(path)
    if column.shape != (count, 1):
        raise BadSeries(f"{path}: expected 1 label for each of {count} points, came {column.shape}")
    for row in np.flatnonzero((column != 0) & (column != 1))[:1]:
        raise BadSeries(f"{path}: row {row + 1}: expected 0 or 1, came {column[row, 0]:g}")
    return np.asarray(column[:, 0] == 1)


def count_rows(path: Path) -> int:
    """Rows of an array, without reading its numbers."""
    if path.suffix.lower() == ".npy":
        try:
            return len(np.load(path, mmap_mode="r", allow_pickle=False))
        except ValueError as problem:
            raise BadSeries(f"{path}: {problem}") from None
    with path.open("rb") as file:
        return sum(1 for line in file if line.strip())


def is_bare(path: Path) -> bool:
    """Whether a file is an array and no table: its text begins with a number, not with a name."""
    if path.suffix.lower() == ".npy":
        return True
    with path.open(encoding="utf-8", errors="replace") as file:
        first = file.readline().split(",")[0]
    try:
        float(first)
    except ValueError:
        return False
    return True


def _npy(path: Path) -> FloatArray:
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as problem:
        raise BadSeries(f"{path}: expected an NPY file of numbers: {problem}") from problem
    is_numeric = isinstance(array, np.ndarray) and array.dtype.kind in "biuf"
    if not is_numeric or array.ndim not in {1, 2} or 0 in array.shape:
        raise BadSeries(f"{path}: expected numbers (time, dimension), came another array")
    return np.asarray(array.reshape(len(array), -1), np.float64)


def _text(path: Path) -> FloatArray:
    if not path.is_file() or not _has_text(path):
        raise BadSeries(f"{path}: expected comma-separated numbers, found nothing")
    try:
        return np.loadtxt(path, delimiter=",", ndmin=2)
    except ValueError:
        return _cell_by_cell(path)


def _has_text(path: Path) -> bool:
    with path.open("rb") as file:
        return any(map(bytes.strip, file))


def _cell_by_cell(path: Path) -> FloatArray:
    """The same, where cells are empty or wrong: a tenth as fast, and each refusal has its place."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = rows_of(path, file)
            first = next(rows)
            names = [str(column) for column in range(1, len(first[1]) + 1)]
            columns = range(len(names))
            found = read_cells(path, names, chain([first], rows), dimensions=columns, aside=())
    except (UnicodeDecodeError, csv.Error, StopIteration) as problem:
        raise BadSeries(f"{path}: expected comma-separated numbers: {problem}") from problem
    return found.values
