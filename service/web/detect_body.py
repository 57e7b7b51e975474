"""From what came to a series: in the order of the bundle, checked by row and column.

A piece goes on where the one before it ended.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import UNSET

from service.errors import BadBody, BadInput, BadSeries
from service.scoring.manifest import Manifest
from service.scoring.series import Series
from service.web.detect_columns import Columns, Form, Packed, block_rows, integers
from service.web.detect_csv import from_csv
from service.web.detect_frame import Frame, bad, check_length, check_names, timestamps, too_many
from service.web.faults import bad_json

MAX_VALUE: Final = 1e30  # as of points: beyond it float32 arithmetic has no room
SEPARATORS: Final = (b",", b";", b"\t", b"\n", b"\r")  # of CSV
CELLS_ASIDE: Final = 5  # timestamp, label, culprits and the end of a line
_VALUES: Final = msgspec.json.Decoder(list[float | None])


def check_size(body: bytes | memoryview, form: Form, frame: Frame) -> None:
    """Refuse what would hold too many points, before it is unpacked. Raises BodyTooLarge."""
    separators = SEPARATORS if form == "csv" else (b",",)
    if sum(map(bytes(body).count, separators)) > frame.max_points * (frame.width + CELLS_ASIDE):
        raise too_many(frame.max_points)


def series_of(came: Columns | Packed, frame: Frame, *, entity: str) -> Series:
    """The series, its dimensions in the order of the bundle. Raises BadInput."""
    if came.entity not in (None, entity):
        raise BadInput("expected the same `entity` in the body as in the query")
    if isinstance(came, Packed) and came.csv is not UNSET:
        check_size(came.csv, "csv", frame)
        series = from_csv(bytes(came.csv), frame)
    else:
        series = _from_columns(came, frame)
    if len(series.values) > frame.max_points:
        raise too_many(frame.max_points)
    if frame.newest_ms is not None and series.timestamps_ms[0] <= frame.newest_ms:
        raise BadSeries("expected a first time that is more than the last of the piece before")
    _check_values(series)
    return replace(series, entity=entity)


def _from_columns(came: Columns | Packed, frame: Frame) -> Series:
    manifest = frame.manifest
    names = manifest.dimensions if came.dimensions is UNSET else came.dimensions
    chosen = _places(names, manifest)
    stamps, label = came.timestamp_ms, came.label
    if isinstance(stamps, memoryview):
        stamps = integers(stamps)
    if isinstance(label, memoryview):
        label = list(label)
    if isinstance(came, Columns):
        values = _values(came.values, len(names), frame.max_points)
    else:
        assert came.values is not UNSET
        if len(came.values) > 8 * len(names) * frame.max_points:
            raise too_many(frame.max_points)
        points = None if stamps is UNSET else len(stamps)
        values = block_rows(came.values, len(names), points)
    count = len(values)
    return Series(
        entity="",
        dimensions=manifest.dimensions,
        timestamps_ms=timestamps(stamps, count, frame),
        values=np.ascontiguousarray(values[:, chosen]),
        label=None if label is UNSET else _labels(label, count),
        segments=(),
    )


def _places(names: Sequence[str], manifest: Manifest) -> list[int]:
    """Where each dimension of the bundle stands in a row."""
    place = {name: index for index, name in enumerate(names)}
    if len(place) < len(names):
        raise BadBody("expected distinct names in `dimensions`")
    check_names(place.keys(), manifest)
    return [place[name] for name in manifest.dimensions]


def _values(rows: Sequence[msgspec.Raw], width: int, max_points: int) -> npt.NDArray[np.float64]:
    if len(rows) > max_points:
        raise too_many(max_points)
    if not rows:
        raise BadBody("expected at least one row of `values`, came none")
    values = np.empty((len(rows), width))
    for index, row in enumerate(rows):
        try:
            cells = _VALUES.decode(row)
        except (ValueError, RecursionError) as error:
            raise bad_json(error, bytes(row), root=f"$.values[{index}]") from None
        if len(cells) != width:
            raise bad(f"$.values[{index}]", f"expected {width} values, came {len(cells)}")
        values[index] = cells  # None becomes NaN
    return values


def _labels(marks: Sequence[bool | int], count: int) -> npt.NDArray[np.bool_]:
    check_length("label", len(marks), count)
    for index, mark in enumerate(marks):
        if mark not in (0, 1):
            raise bad(f"$.label[{index}]", "expected 0 or 1, false or true")
    return np.array(marks, np.bool_)


def _check_values(series: Series) -> None:
    for index, column in np.argwhere(np.abs(series.values) > MAX_VALUE)[:1]:
        name = series.dimensions[column]
        detail = f"expected values within {MAX_VALUE:g}"
        raise BadSeries(
            f"point {index} (from 0), column {name}: {detail}",
            errors=[{"index": int(index), "column": name, "detail": detail}],
        )
