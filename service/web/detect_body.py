"""The body of a batch: a whole series as CSV or as JSON columns, checked by row and column."""

import io
import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import UNSET, UnsetType

from service.errors import BadBody, BadSeries, BodyTooLarge
from service.scoring.manifest import Manifest
from service.scoring.series import Series
from service.scoring.series_csv import names_of, parse_csv
from service.scoring.timestamps import by_period
from service.web.faults import MAX_TIMESTAMP_MS, bad_json

MAX_VALUE: Final = 1e30  # as of points: beyond it float32 arithmetic has no room
SEPARATORS: Final = (b",", b";", b"\t", b"\n", b"\r")  # of CSV
CELLS_ASIDE: Final = 5  # timestamp, label, culprits and the end of a line
NAME: Final = Path("series")
SAID: Final = re.compile(rf"{NAME}: (row (?P<row>\d+)(, column (?P<column>\w+))?: )?(?P<words>.*)")


class Columns(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A series as columns; rows of values are read one by one, so that others get their turn."""

    values: list[msgspec.Raw]
    timestamp_ms: list[int] | UnsetType = UNSET  # left out: the period of the bundle
    dimensions: list[str] | UnsetType = UNSET  # left out: those of the bundle
    label: list[bool | int] | UnsetType = UNSET


_COLUMNS: Final = msgspec.json.Decoder(Columns)
_VALUES: Final = msgspec.json.Decoder(list[float | None])


def series_of(body: bytes, manifest: Manifest, *, is_csv: bool, max_points: int) -> Series:
    """The series, its dimensions in the order of the bundle. Raises BadInput."""
    width = len(manifest.dimensions)
    separators = SEPARATORS if is_csv else (b",",)
    if sum(map(body.count, separators)) > max_points * (width + CELLS_ASIDE):
        raise _too_many(max_points)  # before it is unpacked
    series = _from_csv(body, manifest) if is_csv else _from_json(body, manifest, max_points)
    if len(series.values) > max_points:
        raise _too_many(max_points)
    _check_values(series)
    return series


def _from_csv(body: bytes, manifest: Manifest) -> Series:
    text = io.TextIOWrapper(io.BytesIO(body), encoding="utf-8-sig", newline="")
    try:
        names = names_of(NAME, text)
    except BadSeries as error:
        raise _in_our_words(error) from None
    _check_names(names, manifest)
    period, columns = manifest.period_seconds, manifest.dimensions
    try:
        return parse_csv(NAME, text, columns=columns, timestamp_column=None, period=period)
    except BadSeries as error:
        raise _in_our_words(error) from None


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


def _from_json(body: bytes, manifest: Manifest, max_points: int) -> Series:
    try:
        columns = _COLUMNS.decode(body)
    except (ValueError, RecursionError) as error:
        raise bad_json(error, body) from None
    count = len(columns.values)
    if count > max_points:
        raise _too_many(max_points)
    if not count:
        raise BadBody("expected at least one row of `values`, came none")
    names = manifest.dimensions if columns.dimensions is UNSET else columns.dimensions
    chosen = _places(names, manifest)
    return Series(
        entity="",
        dimensions=manifest.dimensions,
        timestamps_ms=_timestamps(columns.timestamp_ms, count, manifest.period_seconds),
        values=_values(columns.values, len(names))[:, chosen],
        label=None if columns.label is UNSET else _labels(columns.label, count),
        segments=(),
    )


def _places(names: Sequence[str], manifest: Manifest) -> list[int]:
    """Where each dimension of the bundle stands in a row."""
    place = {name: index for index, name in enumerate(names)}
    if len(place) < len(names):
        raise BadBody("expected distinct names in `dimensions`")
    _check_names(place.keys(), manifest)
    return [place[name] for name in manifest.dimensions]


def _values(rows: Sequence[msgspec.Raw], width: int) -> npt.NDArray[np.float64]:
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


def _timestamps(
    stamps: list[int] | UnsetType, count: int, period_seconds: float
) -> npt.NDArray[np.int64]:
    if stamps is UNSET:
        return by_period(np.arange(count), period_seconds)
    _check_length("timestamp_ms", len(stamps), count)
    before = -1
    for index, stamp in enumerate(stamps):
        if not before < stamp < MAX_TIMESTAMP_MS:
            expected = "expected milliseconds since 1970, before the year 2200, each time more"
            raise _bad(f"$.timestamp_ms[{index}]", expected)
        before = stamp
    return np.array(stamps, np.int64)


def _labels(marks: list[bool | int], count: int) -> npt.NDArray[np.bool_]:
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
