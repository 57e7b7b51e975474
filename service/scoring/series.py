"""Series: all points of one entity, read from NPZ, CSV, Parquet or JSON. One reader for all."""

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path

from service.errors import BadSeries
from service.scoring.series_csv import read_csv
from service.scoring.series_json import read_json
from service.scoring.series_npz import read_npz
from service.scoring.series_parquet import read_parquet
from service.scoring.series_types import FloatArray, Part, Segment, Series, choose

__all__ = [
    "FloatArray",
    "Part",
    "Segment",
    "Series",
    "read_file",
    "read_folder",
    "read_series",
]

MAX_NAMED = 5  # entities in a message


def read_series(
    path: Path,
    *,
    part: Part = "test",
    period_seconds: float = 60.0,
    columns: Sequence[str] | None = None,
    timestamp_column: str | None = None,
) -> Series:
    """Read a file of one entity; raise BadSeries."""
    found = read_file(
        path,
        part=part,
        period_seconds=period_seconds,
        columns=columns,
        timestamp_column=timestamp_column,
    )
    if len(found) > 1:
        names = ", ".join(series.entity for series in found[:MAX_NAMED])
        raise BadSeries(f"{path}: expected points of one entity, came {len(found)}: {names}")
    return found[0]


def read_file(
    path: Path,
    *,
    part: Part = "test",
    period_seconds: float = 60.0,
    columns: Sequence[str] | None = None,
    timestamp_column: str | None = None,
) -> list[Series]:
    """Read a file, a Parquet one may hold several entities, sorted here; raise BadSeries.

    `part` is of NPZ files, `timestamp_column` of CSV and Parquet.
    """
    suffix = path.suffix.lower()
    if suffix == ".npz":
        series = read_npz(path, part, period_seconds=period_seconds)
        return [series if columns is None else choose(path, series, columns)]
    if suffix == ".csv":
        return [read_csv(path, columns, timestamp_column=timestamp_column, period=period_seconds)]
    if suffix == ".parquet":
        return read_parquet([path], columns, timestamp_column, period_seconds=period_seconds)
    if suffix == ".json":
        return [read_json(path, columns, period_seconds=period_seconds)]
    raise BadSeries(f"{path}: expected a file ending in .npz, .csv, .parquet or .json")


def read_folder(
    path: Path,
    *,
    part: Part = "test",
    period_seconds: float = 60.0,
    columns: Sequence[str] | None = None,
    timestamp_column: str | None = None,
) -> list[Series]:
    """Read the NPZ and CSV files of a folder, each named for its entity, or a recording.

    JSON files are read where there is nothing else; beside others they are remarks on them.

    A recording is all Parquet files in the folder, however deep. Series are sorted by entity.
    """
    if not path.is_dir():
        raise BadSeries(f"{path}: expected a folder")
    files = sorted(_named_for_entities(path), key=lambda file: file.stem)
    recorded = sorted(path.rglob("*.parquet"), key=lambda file: (file.name, file))
    if files and recorded:
        raise BadSeries(f"{path}: expected one kind, came {files[0].name}, {recorded[0].name}")
    if recorded:
        return read_parquet(recorded, columns, timestamp_column, period_seconds=period_seconds)
    files = files or sorted(path.glob("*.json"))
    if not files:
        raise BadSeries(f"{path}: expected at least one .npz, .csv, .parquet or .json file")
    for file, after in pairwise(files):
        if file.stem == after.stem:
            raise BadSeries(f"{path}: expected one file per entity, came {file.name}, {after.name}")
    read = partial(
        read_series,
        part=part,
        period_seconds=period_seconds,
        columns=columns,
        timestamp_column=timestamp_column,
    )
    return _expect_different([read(file) for file in files], path)


def _expect_different(series: list[Series], path: Path) -> list[Series]:
    for name, count in Counter(one.entity for one in series).items():
        if count > 1:
            raise BadSeries(f"{path}: expected one file per entity, came {count} of {name}")
    return series


def _named_for_entities(folder: Path) -> Iterator[Path]:
    return (file for file in folder.iterdir() if file.suffix.lower() in {".npz", ".csv"})
