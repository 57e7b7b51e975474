"""What the columns of a Parquet file say: names, numbers or moments; each refusal names its place.

pyarrow is an extra, and is loaded only when it is asked for.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from service.errors import BadSeries, SettingInvalid
from service.scoring.csv_cells import clock
from service.scoring.series_types import FloatArray
from service.scoring.timestamps import Place, unix_ms


@dataclass(frozen=True)
class Column:
    """One column of a file."""

    path: Path
    name: str
    cells: Any  # a ChunkedArray; pyarrow says nothing of its types
    place: Place

    def __post_init__(self) -> None:
        """Unpack what is stored as numbers of a dictionary."""
        if pyarrow().types.is_dictionary(self.cells.type):
            object.__setattr__(self, "cells", self.cells.cast(self.cells.type.value_type))

    def cast(self, to: Any, *, expected: str) -> Any:
        """The cells as another type. Raises BadSeries."""
        try:
            return self.cells.cast(to, safe=False)
        except pyarrow().ArrowException as problem:
            raise BadSeries(
                f"{self.path}: column {self.name}: expected {expected}, "
                f"came {self.cells.type}: {problem}"
            ) from problem


def pyarrow() -> Any:
    """The library. Raises SettingInvalid."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as problem:
        raise SettingInvalid(
            f'Parquet files need pyarrow: pip install "gaugewatch[parquet]" ({problem})'
        ) from problem
    return pyarrow


def numbers(column: Column) -> FloatArray:
    """Finite numbers, NaN where one is missing."""
    found: FloatArray = column.cast(pyarrow().float64(), expected="numbers").to_numpy()
    for row in np.flatnonzero(np.isinf(found))[:1]:
        raise BadSeries(
            f"{column.place(row)}, column {column.name}: expected a finite number, came infinity"
        )
    return found


def owners(column: Column) -> tuple[list[str], npt.NDArray[np.int64]]:
    """The entities, and which of them each point belongs to."""
    _expect_all(column)
    names = column.cast(pyarrow().string(), expected="names")
    encoded = names.unify_dictionaries().combine_chunks().dictionary_encode()
    entities: list[str] = encoded.dictionary.to_pylist()
    return entities, encoded.indices.to_numpy().astype(np.int64)


def milliseconds(column: Column) -> npt.NDArray[np.int64]:
    """Whole milliseconds as they are."""
    _expect_all(column)
    found: npt.NDArray[np.int64] = column.cast(pyarrow().int64(), expected="integers").to_numpy()
    return found


def moments(column: Column) -> npt.NDArray[np.int64]:
    """Milliseconds of moments, of ISO 8601 text, or of Unix seconds or milliseconds."""
    _expect_all(column)
    types, kind = pyarrow().types, column.cells.type
    if types.is_string(kind) or types.is_large_string(kind):
        return clock(column.cells.to_pylist(), column.name, place=column.place)
    if types.is_timestamp(kind) or types.is_date(kind):
        found = column.cast(pyarrow().timestamp("ms"), expected="moments").to_numpy()
        return np.asarray(found.astype("datetime64[ms]").astype(np.int64))
    return unix_ms(numbers(column), column.place)


def _expect_all(column: Column) -> None:
    if column.cells.null_count:
        row = int(np.flatnonzero(column.cells.is_null().to_numpy())[0])
        raise BadSeries(f"{column.place(row)}, column {column.name}: expected a value, came none")
