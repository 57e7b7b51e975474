"""From what came to a series: in the order of the bundle, checked by row and column.

A piece goes on where the one before it ended.
"""

import io
import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import UNSET, UnsetType

from service.errors import BadBody, BadInput, BadSeries, BodyTooLarge
from service.scoring.manifest import Manifest
from service.scoring.series import Series
from service.scoring.series_csv import TIMESTAMP_NAMES, names_of, parse_csv
from service.scoring.timestamps import by_period
from service.web.detect_columns import Columns, Form, Packed, block_rows, integers
from service.web.faults import MAX_TIMESTAMP_MS, bad_json

MAX_VALUE: Final = 1e30  # as of points: beyond it float32 arithmetic has no room
SEPARATORS: Final = (b",", b";", b"\t", b"\n", b"\r")  # of CSV
CELLS_ASIDE: Final = 5  # timestamp, label, culprits and the end of a line
NAME: Final = Path("series")
SAID: Final = re.compile(rf"{NAME}: (row (?P<row>\d+)(, column (?P<column>\w+))?: )?(?P<words>.*)")


_VALUES: Final = msgspec.json.Decoder(list[float | None])


class Frame(NamedTuple):
    """What a series has to fit."""

    manifest: Manifest
    max_points: int
    points_before: int = 0  # of the pieces before
    newest_ms: int = -1  # of those

    @property
    def width(self) -> int:
        """Dimensions of a point."""
        return len(self.manifest.dimensions)


def check_size(body: bytes | memoryview, form: Form, frame: Frame) -> None:
    """Refuse what would hold too many points, before it is unpacked. Raises BodyTooLarge."""
    separators = SEPARATORS if form == "csv" else (b",",)
    if sum(map(bytes(body).count, separators)) > frame.max_points * (frame.width + CELLS_ASIDE):
        raise _too_many(frame.max_points)


def series_of(came: Columns | Packed, frame: Frame, *, entity: str) -> Series:
    """The series, its dimensions in the order of the bundle. Raises BadInput."""
    if came.entity not in (None, entity):
        raise BadInput("expected the same `entity` in the body as in the query")
    if isinstance(came, Packed) and came.csv is not UNSET:
        check_size(came.csv, "csv", frame)
        series = _from_csv(bytes(came.csv), frame)
    else:
        series = _from_columns(came, frame)
    if len(series.values) > frame.max_points:
        raise _too_many(frame.max_points)
    if series.timestamps_ms[0] <= frame.newest_ms:
        raise BadSeries("expected a first time that is more than the last of the piece before")
    _check_values(series)
    return replace(series, entity=entity)


def _from_csv(body: bytes, frame: Frame) -> Series:
    manifest = frame.manifest
    text = io.TextIOWrapper(io.BytesIO(body), encoding="utf-8-sig", newline="")
    try:
        names = names_of(NAME, text)
    except BadSeries as error:
        raise _in_our_words(error) from None
    _check_names(names, manifest)
    period, columns = manifest.period_seconds, manifest.dimensions
    try:
        series = parse_csv(NAME, text, columns=columns, timestamp_column=None, period=period)
    except BadSeries as error:
        raise _in_our_words(error) from None
    if any(name.lower() in TIMESTAMP_NAMES for name in names):
        return series
    return replace(series, timestamps_ms=_timestamps(UNSET, len(series.values), frame))


def _in_our_words(error: BadSeries) -> BadSeries:
    """Without what came: a problem never repeats what was sent."""
    found = SAID.match(error.detail.partition(", came ")[0].replace("\n", " "))
    if found is None:
        return error
    where = {name: found[name] for name in ("row", "column") if found[name]}
    place = ", ".join(" ".join(pair) for pair in where.items())
    detail = f"{place}: {found['words']}" if place else found["words"]
    fault: dict[str, str | int] = {**where, "detail": found["words"]}
    if found["row"]:
        fault["row"] = int(found["row"])
    return BadSeries(detail, errors=[fault])


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
            raise _too_many(frame.max_points)
        points = None if stamps is UNSET else len(stamps)
        values = block_rows(came.values, len(names), points)
    count = len(values)
    return Series(
        entity="",
        dimensions=manifest.dimensions,
        timestamps_ms=_timestamps(stamps, count, frame),
        values=np.ascontiguousarray(values[:, chosen]),
        label=None if label is UNSET else _labels(label, count),
        segments=(),
    )


def _places(names: Sequence[str], manifest: Manifest) -> list[int]:
    """Where each dimension of the bundle stands in a row."""
    place = {name: index for index, name in enumerate(names)}
    if len(place) < len(names):
        raise BadBody("expected distinct names in `dimensions`")
    _check_names(place.keys(), manifest)
    return [place[name] for name in manifest.dimensions]


def _values(rows: Sequence[msgspec.Raw], width: int, max_points: int) -> npt.NDArray[np.float64]:
    if len(rows) > max_points:
        raise _too_many(max_points)
    if not rows:
        raise BadBody("expected at least one row of `values`, came none")
    values = np.empty((len(rows), width))
    for index, row in enumerate(rows):
        try:
            cells = _VALUES.decode(row)
        except (ValueError, RecursionError) as error:
            raise bad_json(error, bytes(row), root=f"$.values[{index}]") from None
        if len(cells) != width:
            raise _bad(f"$.values[{index}]", f"expected {width} values, came {len(cells)}")
        values[index] = cells  # None becomes NaN
    return values


def _timestamps(stamps: list[int] | UnsetType, count: int, frame: Frame) -> npt.NDArray[np.int64]:
    if stamps is UNSET:
        rows = np.arange(frame.points_before, frame.points_before + count)
        return by_period(rows, frame.manifest.period_seconds)
    _check_length("timestamp_ms", len(stamps), count)
    before = -1
    for index, stamp in enumerate(stamps):
        if not before < stamp < MAX_TIMESTAMP_MS:
            expected = "expected milliseconds since 1970, before the year 2200, each time more"
            raise _bad(f"$.timestamp_ms[{index}]", expected)
        before = stamp
    return np.array(stamps, np.int64)


def _labels(marks: Sequence[bool | int], count: int) -> npt.NDArray[np.bool_]:
    _check_length("label", len(marks), count)
    for index, mark in enumerate(marks):
        if mark not in (0, 1):
            raise _bad(f"$.label[{index}]", "expected 0 or 1, false or true")
    return np.array(marks, np.bool_)


def _check_length(name: str, came: int, count: int) -> None:
    if came != count:
        raise BadBody(f"expected as many of `{name}` as rows of `values`, came {came} and {count}")


def _check_names(names: Collection[str], manifest: Manifest) -> None:
    missing = [name for name in manifest.dimensions if name not in names]
    if missing:
        raise BadSeries(
            f"bundle {manifest.name!r} expects {len(manifest.dimensions)} dimensions; "
            f"{len(missing)} of them did not come, among them {', '.join(missing[:3])}"
        )


def _check_values(series: Series) -> None:
    for index, column in np.argwhere(np.abs(series.values) > MAX_VALUE)[:1]:
        name = series.dimensions[column]
        detail = f"expected values within {MAX_VALUE:g}"
        raise BadSeries(
            f"point {index} (from 0), column {name}: {detail}",
            errors=[{"index": int(index), "column": name, "detail": detail}],
        )


def _bad(path: str, detail: str) -> BadSeries:
    return BadSeries(f"{path}: {detail}", errors=[{"path": path, "detail": detail}])


def _too_many(max_points: int) -> BodyTooLarge:
    return BodyTooLarge(f"expected a series of at most {max_points} points")
