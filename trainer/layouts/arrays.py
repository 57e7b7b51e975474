"""Arrays without a header: comma-separated text and NPY, (time, dimension)."""

from pathlib import Path

import numpy as np

from service.errors import BadSeries
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
        return len(np.load(path, mmap_mode="r", allow_pickle=False))
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
    if not path.is_file() or not path.stat().st_size:
        raise BadSeries(f"{path}: expected comma-separated numbers, found nothing")
    try:
        return np.loadtxt(path, delimiter=",", ndmin=2)
    except (OSError, ValueError) as problem:  # it names row and column
        raise BadSeries(f"{path}: expected comma-separated numbers: {problem}") from problem
