"""NAB as Numenta publishes it: a CSV file per series, one list of anomalous windows.

    data/realKnownCause/nyc_taxi.csv  labels/combined_windows.json

The training half is NAB's probation, the first 15 %, at most 750 points. The clocks of some files
repeat or jump back; points then count by their row, while windows are found by the file's clock.
"""

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt

from service.errors import BadSeries
from service.scoring.series import Part, Series
from service.scoring.timestamps import iso_ms
from trainer.layouts.source import BoolArray, Source, rows_of, sibling
from trainer.layouts.table import Form, Role, clock_ms, has_header, read_table

WINDOWS = "labels/combined_windows.json"
PROBATION_SHARE, PROBATION_POINTS = 0.15, 750
HEADER = ("timestamp", "value")


def read(source: Source, part: Part) -> list[Series]:
    """One half of every series below the folder, or of one file."""
    path = source.path
    files = [path] if path.is_file() else sorted(path.rglob("*.csv"))
    files = [file for file in files if has_header(file, *HEADER)]
    return [_half(_series(source, file), part) for file in files]


def _half(series: Series, part: Part) -> Series:
    count = len(series.values)
    probation = min(int(PROBATION_SHARE * count), PROBATION_POINTS)
    if part == "train":
        return rows_of(series, 0, probation)
    return rows_of(series, probation, count)


def _series(source: Source, file: Path) -> Series:
    table = read_table(file, FORM)
    stamps = clock_ms(table.texts["timestamp"], table.place)
    label = _label(source, file, stamps)
    return Series(file.stem, table.names, source.clock(stamps, file), table.values, label, ())


def _role(name: str) -> Role:
    return "text" if name == "timestamp" else "dimension"


FORM = Form("timestamp", _role)


def _label(source: Source, file: Path, stamps: npt.NDArray[np.int64]) -> BoolArray | None:
    """Points (time,) inside the windows of a file, both ends included."""
    path = sibling(file.parent, WINDOWS, levels=3)
    if path is None:
        source.tell(f"{file}: no {WINDOWS} in the folders above, so it has no label")
        return None
    key = f"{file.parent.name}/{file.name}"
    try:
        listed = json.loads(path.read_bytes())
        windows = [(iso_ms(start), iso_ms(end)) for start, end in listed[key]]
    except (OSError, ValueError, TypeError) as problem:
        raise BadSeries(f"{path}: {key}: expected [[start, end], ...]: {problem}") from problem
    except KeyError:
        source.tell(f"{path}: {key} is not listed, so it has no label")
        return None
    label = np.zeros(len(stamps), np.bool_)
    for start, end in windows:
        inside = (stamps >= start) & (stamps <= end)
        if not inside.any():
            raise BadSeries(f"{path}: {key}: expected windows within {file.name}, came {start} ms")
        label |= inside
    return label
