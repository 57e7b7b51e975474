"""Series: all points of one entity, read from NPZ or CSV. One reader for service and trainer."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from service.errors import BadSeries
from service.scoring.series_csv import read_csv
from service.scoring.series_npz import read_npz
from service.scoring.series_types import FloatArray, Part, Segment, Series, choose

__all__ = ["FloatArray", "Part", "Segment", "Series", "read_folder", "read_series"]


def read_series(
    path: Path,
    *,
    part: Part = "test",
    period_seconds: float = 60.0,
    columns: Sequence[str] | None = None,
    timestamp_column: str | None = None,
) -> Series:
    """Read one file; raise BadSeries. `part` is of NPZ files, `timestamp_column` of CSV files."""
    if path.suffix.lower() == ".npz":
        series = read_npz(path, part, period_seconds=period_seconds)
        return series if columns is None else choose(path, series, columns)
    if path.suffix.lower() == ".csv":
        return read_csv(path, columns, timestamp_column=timestamp_column, period=period_seconds)
    raise BadSeries(f"{path}: expected a file ending in .npz or .csv")


def read_folder(
    path: Path,
    *,
    part: Part = "test",
    period_seconds: float = 60.0,
    columns: Sequence[str] | None = None,
    timestamp_column: str | None = None,
) -> list[Series]:
    """Read every NPZ and CSV of a folder, sorted by entity: the file stem is the entity's name."""
    if not path.is_dir():
        raise BadSeries(f"{path}: expected a folder")
    files = sorted(
        (file for file in path.iterdir() if file.suffix.lower() in {".npz", ".csv"}),
        key=lambda file: file.stem,
    )
    if not files:
        raise BadSeries(f"{path}: expected at least one .npz or .csv file")
    for file, after in pairwise(files):
        if file.stem == after.stem:
            raise BadSeries(f"{path}: expected one file per entity, came {file.name}, {after.name}")
    return [
        read_series(
            file,
            part=part,
            period_seconds=period_seconds,
            columns=columns,
            timestamp_column=timestamp_column,
        )
        for file in files
    ]
