"""Series: all points of one entity, read from NPZ or CSV. One reader for service and trainer."""

import csv
import json
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import groupby, islice, pairwise
from pathlib import Path
from typing import Any, Literal, TextIO

import numpy as np
import numpy.typing as npt

from service.errors import BadSeries

FloatArray = npt.NDArray[np.float64]
Arrays = dict[str, npt.NDArray[Any]]
Part = Literal["train", "test"]
Place = Callable[[int], str]  # names a row for a message

TIMESTAMP_NAMES = ("timestamp", "timestamp_ms", "time", "date", "datetime", "ts")
MISSING = frozenset({"", "na", "nan", "null", "none"})
FIRST_MS = 1e11  # read as seconds the year 5138, as milliseconds 1973
END_MS = 1e14  # beyond are microseconds and nanoseconds, which we do not guess
ROWS_AT_ONCE = 20_000  # of a CSV, so that its text is never in memory as a whole
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Segment:
    """A labelled anomaly: points start..end inclusive, and its culprits (none if unknown)."""

    start: int
    end: int
    dimensions: tuple[int, ...]


@dataclass(frozen=True)
class Series:
    """All points of one entity."""

    entity: str
    dimensions: tuple[str, ...]
    timestamps_ms: npt.NDArray[np.int64]  # (time,) strictly increasing
    values: FloatArray  # (time, dimension), NaN = missing
    label: npt.NDArray[np.bool_] | None  # (time,)
    segments: tuple[Segment, ...]


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
        series = _read_npz(path, part, period_seconds=period_seconds)
        return series if columns is None else _choose(path, series, columns)
    if path.suffix.lower() == ".csv":
        return _read_csv(path, columns, timestamp_column=timestamp_column, period=period_seconds)
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


# ---- NPZ


def _read_npz(path: Path, part: Part, *, period_seconds: float) -> Series:
    arrays = _arrays(path)
    values = _matrix(path, arrays, part)
    count, width = values.shape
    names = _names(path, arrays, width)

    def place(row: int) -> str:
        return f"{path}: {part} row {row} (from 0)"

    for row, column in np.argwhere(np.isinf(values))[:1]:
        raise BadSeries(f"{place(row)}, {names[column]}: expected a finite number, came infinity")
    timestamps_ms = _npz_timestamps(path, arrays, part, period=period_seconds, place=place)
    label: npt.NDArray[np.bool_] | None = None
    segments: tuple[Segment, ...] = ()
    if part == "test" and "label" in arrays:
        label = arrays["label"].ravel() != 0
        if label.size != count:
            raise BadSeries(f"{path}: expected {count} values of label, came {label.size}")
    if part == "test" and "interpretation" in arrays:
        segments = _interpretation(path, str(arrays["interpretation"]), shape=values.shape)
    return Series(path.stem, names, timestamps_ms, values, label, segments)


def _arrays(path: Path) -> Arrays:
    try:
        with path.open("rb") as file:  # np.load leaves a damaged file of its own open
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise BadSeries(f"{path}: expected an NPZ archive, came a single array")
            return dict(archive)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as problem:
        raise BadSeries(f"{path}: expected an NPZ archive of plain arrays: {problem}") from problem


def _matrix(path: Path, arrays: Arrays, part: Part) -> FloatArray:
    if part not in arrays:
        raise BadSeries(f"{path}: expected an array {part!r}, came {sorted(arrays)}")
    array = arrays[part]
    if array.dtype.kind not in "biuf" or array.ndim not in {1, 2} or 0 in array.shape:
        raise BadSeries(
            f"{path}: expected {part} to hold numbers (time, dimension), at least one of each, "
            f"came {array.dtype} {array.shape}"
        )
    return array.reshape(len(array), -1).astype(np.float64)  # (time, dimension)


def _names(path: Path, arrays: Arrays, width: int) -> tuple[str, ...]:
    if "dimensions" in arrays:
        names = [str(name) for name in arrays["dimensions"].ravel()]
        if len(set(names)) != width or len(names) != width:
            raise BadSeries(f"{path}: expected {width} different dimensions, came {names}")
        return tuple(names)
    beside = path.with_name("columns.json")
    if beside.is_file():
        try:
            names = json.loads(beside.read_text("utf-8"))
        except ValueError as problem:
            raise BadSeries(f"{beside}: expected a JSON list of names: {problem}") from problem
        if isinstance(names, list) and len(names) == width == len(set(map(str, names))):
            return tuple(map(str, names))
    return tuple(f"d{column:02d}" for column in range(width))


def _npz_timestamps(
    path: Path,
    arrays: Arrays,
    part: Part,
    *,
    period: float,
    place: Place,
) -> npt.NDArray[np.int64]:
    train, test = (len(arrays[key]) if key in arrays else 0 for key in ("train", "test"))
    rows = np.arange(train) if part == "train" else np.arange(train, train + test)
    stamps = arrays.get("timestamps")
    if stamps is not None and (stamps.dtype.kind not in "iuf" or stamps.ndim != 1):
        raise BadSeries(f"{path}: expected timestamps in Unix seconds, came {stamps.dtype}")
    if stamps is not None and stamps.size not in {test, train + test}:
        raise BadSeries(f"{path}: expected {test} or {train + test} timestamps, came {stamps.size}")
    if stamps is not None and (stamps.size > test or part == "test"):
        seconds = stamps[rows] if stamps.size > test else stamps
        # The clock of two NAB files repeats itself or jumps back; their labels count rows.
        if "windows" not in arrays or (np.diff(seconds) > 0).all():
            return _increasing(_unix_ms(seconds.astype(np.float64), place), place)
    # The VAE-LSTM copies of NAB cut train out of the middle: keep the gap, it is a joint of test.
    ranges = arrays.get("test_segments" if part == "test" else "idx_split", np.empty(0, np.int64))
    published = [np.arange(first, end) for first, end in ranges.reshape(-1, 2)]
    if published and sum(map(len, published)) == rows.size:
        rows = np.concatenate(published)
    return _increasing(_by_period(rows, period), place)


def _interpretation(path: Path, text: str, *, shape: tuple[int, ...]) -> tuple[Segment, ...]:
    count, width = shape
    try:
        segments = tuple(
            Segment(int(start), int(end), tuple(int(index) for index in dimensions))
            for start, end, dimensions in json.loads(text)
        )
    except (TypeError, ValueError) as problem:
        raise BadSeries(
            f"{path}: expected interpretation to be JSON [[start, end, [dims]], ...]: {problem}"
        ) from problem
    for segment in segments:
        inside = all(0 <= index < width for index in segment.dimensions)
        if not 0 <= segment.start <= segment.end < count or not inside:
            raise BadSeries(f"{path}: expected {count} rows of {width} dimensions, came {segment}")
    return segments


def _choose(path: Path, series: Series, columns: Sequence[str]) -> Series:
    chosen = _positions(path, series.dimensions, columns)
    place = {old: new for new, old in enumerate(chosen)}
    segments = tuple(
        replace(each, dimensions=tuple(sorted(place[i] for i in each.dimensions if i in place)))
        for each in series.segments
    )
    values = np.ascontiguousarray(series.values[:, chosen])
    return replace(series, dimensions=tuple(columns), values=values, segments=segments)


def _positions(path: Path, names: Sequence[str], columns: Sequence[str]) -> list[int]:
    unknown = [name for name in columns if name not in names]
    if unknown or len(set(columns)) != len(columns) or not columns:
        raise BadSeries(f"{path}: expected different columns of {list(names)}, came {[*columns]}")
    return [names.index(name) for name in columns]


# ---- CSV


@dataclass(frozen=True)
class _Header:
    """Where a CSV file keeps what."""

    names: list[str]
    timestamp: int | None
    label: int | None
    culprits: int | None
    dimensions: list[int]


def _read_csv(
    path: Path, columns: Sequence[str] | None, *, timestamp_column: str | None, period: float
) -> Series:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = _rows(file)
            _, names = next(rows, (1, []))
            header = _header(path, names, columns, timestamp_column=timestamp_column)
            return _parse(path, header, rows, period=period)
    except (OSError, UnicodeDecodeError, csv.Error) as problem:
        raise BadSeries(f"{path}: expected CSV text in UTF-8: {problem}") from problem


def _rows(file: TextIO) -> Iterator[tuple[int, list[str]]]:
    """Rows with their line numbers as an editor shows them; blank lines are skipped."""
    delimiter = max(",;\t", key=file.readline().count)
    file.seek(0)
    reader = csv.reader(file, delimiter=delimiter, strict=True)
    for row in reader:
        if row:
            yield reader.line_num, row


def _header(
    path: Path, cells: list[str], columns: Sequence[str] | None, *, timestamp_column: str | None
) -> _Header:
    names = [cell.strip() for cell in cells]
    if not any(names):
        raise BadSeries(f"{path}: expected a header line, came an empty one")
    twice = sorted({name for name in names if names.count(name) > 1})
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
        others = _positions(path, names, columns)
    if not others or not all(names[i] for i in others):
        raise BadSeries(f"{path}: row 1: expected named dimensions, came {names}")
    return _Header(names, timestamp, label, culprits, others)


def _parse(
    path: Path, header: _Header, rows: Iterator[tuple[int, list[str]]], *, period: float
) -> Series:
    lines: list[int] = []
    chunks: list[FloatArray] = []
    aside = [header.timestamp, header.label, header.culprits]
    texts: dict[int, list[str]] = {index: [] for index in aside if index is not None}
    while batch := list(islice(rows, ROWS_AT_ONCE)):
        columns = _columns(path, batch, width=len(header.names))
        place = partial(_line, path, [line for line, _ in batch])
        numbers = [_numbers(columns[i], header.names[i], place=place) for i in header.dimensions]
        chunks.append(np.stack(numbers, axis=1))  # (time, dimension)
        lines += [line for line, _ in batch]
        for index, cells in texts.items():
            cells += columns[index]
    if not chunks:
        raise BadSeries(f"{path}: expected at least one row below the header")
    return _series(path, header, texts, values=np.concatenate(chunks), lines=lines, period=period)


def _series(
    path: Path,
    header: _Header,
    texts: dict[int, list[str]],
    *,
    values: FloatArray,
    lines: list[int],
    period: float,
) -> Series:
    place = partial(_line, path, lines)
    if header.timestamp is None:
        timestamps_ms = _by_period(np.arange(len(lines)), period)
    else:
        name = header.names[header.timestamp]
        timestamps_ms = _clock(texts[header.timestamp], name, place=place)
    label: npt.NDArray[np.bool_] | None = None
    segments: tuple[Segment, ...] = ()
    if header.label is not None:
        label = _label(texts[header.label], place)
    if header.culprits is not None:
        segments = _segments(texts[header.culprits], header, label=label, place=place)
    names = tuple(header.names[i] for i in header.dimensions)
    stamps = _increasing(timestamps_ms, place)
    return Series(path.stem, names, stamps, values, label, segments)


def _line(path: Path, lines: Sequence[int], row: int) -> str:
    return f"{path}: row {lines[row]}"


def _columns(
    path: Path, batch: list[tuple[int, list[str]]], *, width: int
) -> list[tuple[str, ...]]:
    for line, cells in batch:
        if len(cells) != width:
            raise BadSeries(f"{path}: row {line}: expected {width} cells, came {len(cells)}")
    return list(zip(*(cells for _, cells in batch), strict=True))


def _numbers(cells: Sequence[str], name: str, *, place: Place) -> FloatArray:
    try:
        numbers = np.fromiter(map(float, cells), np.float64, len(cells))
    except ValueError:
        known = [("nan" if cell.strip().lower() in MISSING else cell) for cell in cells]
        numbers = np.array([_number(cell, i, name, place=place) for i, cell in enumerate(known)])
    for row in np.flatnonzero(np.isinf(numbers))[:1]:
        raise BadSeries(f"{place(row)}, column {name}: expected a finite number, came {cells[row]}")
    return numbers


def _number(cell: str, row: int, name: str, *, place: Place) -> float:
    try:
        return float(cell)
    except ValueError as problem:
        raise BadSeries(
            f"{place(row)}, column {name}: expected a number, came {cell[:40]!r}"
        ) from problem


def _label(cells: Sequence[str], place: Place) -> npt.NDArray[np.bool_]:
    words = {"0": False, "1": True, "0.0": False, "1.0": True, "false": False, "true": True}
    flags = [words.get(cell.strip().lower()) for cell in cells]
    if None in flags:
        row = flags.index(None)
        raise BadSeries(f"{place(row)}, column label: expected 0 or 1, came {cells[row][:40]!r}")
    return np.array(flags, np.bool_)


def _segments(
    cells: Sequence[str],
    header: _Header,
    *,
    label: npt.NDArray[np.bool_] | None,
    place: Place,
) -> tuple[Segment, ...]:
    """Runs of labelled points with the same culprits: names joined by `|`."""
    position = {header.names[i]: new for new, i in enumerate(header.dimensions)}
    flags = label.tolist() if label is not None else [bool(cell.strip()) for cell in cells]
    segments, start = [], 0
    for (is_labelled, cell), run in groupby(zip(flags, cells, strict=True)):
        end = start + sum(1 for _ in run)
        names = [name.strip() for name in cell.split("|") if name.strip()]
        if not set(names) <= set(header.names):
            raise BadSeries(f"{place(start)}, column culprits: expected dimensions, came {names}")
        if is_labelled:
            chosen = tuple(sorted(position[name] for name in names if name in position))
            segments.append(Segment(start, end - 1, chosen))
        start = end
    return tuple(segments)


# ---- timestamps


def _clock(cells: Sequence[str], name: str, *, place: Place) -> npt.NDArray[np.int64]:
    """Unix seconds, Unix milliseconds, or ISO 8601; the first cell tells which. Naive is UTC."""
    try:
        float(cells[0])
    except ValueError:
        stamps = [_iso_ms(cell, row, name, place=place) for row, cell in enumerate(cells)]
        return np.array(stamps, np.int64)
    return _unix_ms(_numbers(cells, name, place=place), place)


def _iso_ms(cell: str, row: int, name: str, *, place: Place) -> int:
    try:
        moment = datetime.fromisoformat(cell.strip())
    except ValueError as problem:
        raise BadSeries(
            f"{place(row)}, column {name}: expected a timestamp (ISO 8601, Unix seconds or "
            f"milliseconds), came {cell[:40]!r}"
        ) from problem
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (moment - EPOCH) // timedelta(milliseconds=1)


def _unix_ms(stamps: FloatArray, place: Place) -> npt.NDArray[np.int64]:
    sizes = np.abs(stamps)
    for row in np.flatnonzero(~(sizes < END_MS))[:1]:
        raise BadSeries(
            f"{place(row)}: expected a timestamp in Unix seconds or milliseconds, "
            f"came {stamps[row]:.15g}"
        )
    factor = 1 if sizes.max() >= FIRST_MS else 1000
    return _whole(stamps * factor)


def _by_period(rows: npt.NDArray[np.int64], period_seconds: float) -> npt.NDArray[np.int64]:
    return _whole(rows * (period_seconds * 1000))


def _whole(milliseconds: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.int64]:
    whole: npt.NDArray[np.int64] = np.rint(milliseconds).astype(np.int64)
    return whole


def _increasing(timestamps_ms: npt.NDArray[np.int64], place: Place) -> npt.NDArray[np.int64]:
    for row in np.flatnonzero(np.diff(timestamps_ms) <= 0)[:1]:
        before, came = timestamps_ms[row : row + 2].tolist()
        raise BadSeries(f"{place(row + 1)}: expected a timestamp after {before} ms, came {came} ms")
    return timestamps_ms
