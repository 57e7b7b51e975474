"""A census of series: what of them tells a model little, or is missing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np

from service.scoring.series import FloatArray, Series


@dataclass(frozen=True)
class Census:
    """Counts over the series of one half."""

    series: int
    points: int
    labelled: int
    missing: int  # values
    empty: tuple[int, ...]  # per series, dimensions without any value
    constant: tuple[int, ...]  # dimensions with one value throughout
    binary: tuple[int, ...]  # dimensions that are 0 or 1, and both
    repeated: tuple[int, ...]  # dimensions that move exactly as one before them

    def __str__(self) -> str:
        """One line for a person."""
        parts = [f"{self.series} series of {self.points:,} points"]
        kinds = {"constant": self.constant, "0/1": self.binary, "repeated": self.repeated}
        kinds["empty"] = self.empty
        parts += [
            f"{between(counts)} {kind} dimensions" for kind, counts in kinds.items() if any(counts)
        ]
        if self.missing:
            parts.append(f"{self.missing:,} missing values")
        if self.labelled:
            parts.append(f"{self.labelled:,} labelled points")
        return ", ".join(parts)


def census(series: Sequence[Series]) -> Census:
    """Count."""
    return Census(
        series=len(series),
        points=sum(len(one.values) for one in series),
        labelled=sum(int(one.label.sum()) for one in series if one.label is not None),
        missing=sum(int(np.isnan(one.values).sum()) for one in series),
        empty=_each(series, lambda values: bool(np.isnan(values).all())),
        constant=_each(series, _is_constant),
        binary=_each(series, _is_binary),
        repeated=tuple(_repeated(one) for one in series),
    )


def table_of(parts: Mapping[str, Sequence[Series]]) -> tuple[list[str], list[list[str]]]:
    """Head and lines: one line per part of the data."""
    lines = [
        [
            name,
            f"{own.series}",
            f"{own.points:,}",
            f"{own.missing:,}",
            between(own.constant),
            between(own.binary),
            between(own.repeated),
            f"{own.labelled:,}",
        ]
        for name, own in ((name, census(series)) for name, series in parts.items())
    ]
    head = [
        "data",
        "series",
        "points",
        "missing values",
        "constant",
        "0/1",
        "repeated",
        "labelled points",
    ]
    return head, lines


def between(counts: Sequence[int]) -> str:
    """`3`, or `2 to 10` where series differ."""
    low, high = min(counts, default=0), max(counts, default=0)
    return f"{low}" if low == high else f"{low} to {high}"


def _each(series: Sequence[Series], holds: Callable[[FloatArray], bool]) -> tuple[int, ...]:
    return tuple(sum(bool(holds(column)) for column in one.values.T) for one in series)


def _repeated(series: Series) -> int:
    moving = [
        sha256(column.tobytes()).digest() for column in series.values.T if not _is_constant(column)
    ]
    return len(moving) - len(set(moving))


def _is_constant(values: FloatArray) -> bool:
    present = values[~np.isnan(values)]
    return bool(len(present)) and bool((present == present[0]).all())


def _is_binary(values: FloatArray) -> bool:
    present = values[~np.isnan(values)]
    return bool(((present == 0) | (present == 1)).all()) and len(np.unique(present)) == 2
