"""Series from NPZ: one file an entity, `train` and `test` with what belongs to either."""

import json
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from service.errors import BadSeries
from service.scoring.series_types import FloatArray, Part, Segment, Series
from service.scoring.timestamps import Place, by_period, increasing, unix_ms

Arrays = dict[str, npt.NDArray[Any]]

MAX_INTERPRETATION_BYTES = 10_000_000  # unpacked, four to a character; real ones have thousands


def read_npz(path: Path, part: Part, *, period_seconds: float) -> Series:
    """Read one part of a file; raise BadSeries."""
    arrays = _arrays(path)
    values = _matrix(path, arrays, part)
    count, width = values.shape
    names = _names(path, arrays, width)

    def place(row: int) -> str:
        return f"{path}: {part} row {row} (from 0)"

    for row, column in np.argwhere(np.isinf(values))[:1]:
        raise BadSeries(f"{place(row)}, {names[column]}: expected a finite number, came infinity")
    timestamps_ms = _timestamps(path, arrays, part, period=period_seconds, place=place)
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
            _limit_interpretation(path, archive)
            return dict(archive)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as problem:
        raise BadSeries(f"{path}: expected an NPZ archive of plain arrays: {problem}") from problem


def _limit_interpretation(path: Path, archive: np.lib.npyio.NpzFile) -> None:
    """Refuse by the size the archive states, which is all that would be unpacked of it."""
    for member in archive.zip.infolist() if archive.zip else ():
        is_interpretation = member.filename in {"interpretation.npy", "interpretation"}
        if is_interpretation and member.file_size > MAX_INTERPRETATION_BYTES:
            raise BadSeries(
                f"{path}: expected interpretation of at most {MAX_INTERPRETATION_BYTES} bytes, "
                f"came {member.file_size}"
            )


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


def _timestamps(
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
            return increasing(unix_ms(seconds.astype(np.float64), place), place)
    # The VAE-LSTM copies of NAB cut train out of the middle: keep the gap, it is a joint of test.
    ranges = arrays.get("test_segments" if part == "test" else "idx_split", np.empty(0, np.int64))
    published = [np.arange(first, end) for first, end in ranges.reshape(-1, 2)]
    if published and sum(map(len, published)) == rows.size:
        rows = np.concatenate(published)
    return increasing(by_period(rows, period), place)


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
