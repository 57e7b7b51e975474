"""What the cells of a CSV column say: numbers, flags or moments; each refusal names its cell."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from service.errors import BadSeries
from service.scoring.series_types import FloatArray
from service.scoring.timestamps import Place, iso_ms, unix_ms

MISSING = frozenset({"", "na", "nan", "null", "none"})
FLAGS = {"0": False, "1": True, "0.0": False, "1.0": True, "false": False, "true": True}


def numbers(cells: Sequence[str], column: str, *, place: Place) -> FloatArray:
    """Finite numbers, NaN where one is missing."""
    try:
        found = np.fromiter(map(float, cells), np.float64, len(cells))
    except ValueError:
        found = np.array(_each(cells, _number, column=column, expected="a number", place=place))
    for row in np.flatnonzero(np.isinf(found))[:1]:
        raise BadSeries(
            f"{place(row)}, column {column}: expected a finite number, came {cells[row]}"
        )
    return found


def flags(cells: Sequence[str], column: str, *, place: Place) -> npt.NDArray[np.bool_]:
    """Yes or no, as 0 or 1, false or true."""
    found = _each(cells, _flag, column=column, expected="0 or 1", place=place)
    return np.array(found, np.bool_)


def clock(cells: Sequence[str], column: str, *, place: Place) -> npt.NDArray[np.int64]:
    """Unix seconds, Unix milliseconds, or ISO 8601; the first cell tells which."""
    try:
        float(cells[0])
    except ValueError:
        expected = "a timestamp (ISO 8601, Unix seconds or milliseconds)"
        found = _each(cells, iso_ms, column=column, expected=expected, place=place)
        return np.array(found, np.int64)
    return unix_ms(numbers(cells, column, place=place), place)


def _number(cell: str) -> float:
    return float("nan" if cell.strip().lower() in MISSING else cell)


def _flag(cell: str) -> bool:
    return FLAGS[cell.strip().lower()]


def _each(
    cells: Sequence[str],
    read: Callable[[str], float],
    *,
    column: str,
    expected: str,
    place: Place,
) -> list[float]:
    found = []
    for row, cell in enumerate(cells):
        try:
            found.append(read(cell))
        except (KeyError, ValueError) as problem:
            raise BadSeries(
                f"{place(row)}, column {column}: expected {expected}, came {cell[:40]!r}"
            ) from problem
    return found
