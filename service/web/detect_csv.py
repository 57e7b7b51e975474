"""A series that comes as CSV: read as every file is, its faults told without what came."""

import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Final

from msgspec import UNSET

from service.errors import BadSeries
from service.scoring.series import Series
from service.scoring.series_csv import TIMESTAMP_NAMES, names_of, parse_csv
from service.web.detect_frame import Frame, check_names, timestamps

NAME: Final = Path("series")
SAID: Final = re.compile(rf"{NAME}: (row (?P<row>\d+)(, column (?P<column>\w+))?: )?(?P<words>.*)")


def from_csv(body: bytes, frame: Frame) -> Series:
    """The dimensions of the bundle among its columns. Raises BadSeries."""
    manifest = frame.manifest
    text = io.TextIOWrapper(io.BytesIO(body), encoding="utf-8-sig", newline="")
    try:
        names = names_of(NAME, text)
    except BadSeries as error:
        raise _in_our_words(error) from None
    check_names(names, manifest)
    period, columns = manifest.period_seconds, manifest.dimensions
    try:
        series = parse_csv(NAME, text, columns=columns, timestamp_column=None, period=period)
    except BadSeries as error:
        raise _in_our_words(error) from None
    if any(name.lower() in TIMESTAMP_NAMES for name in names):
        return series
    return replace(series, timestamps_ms=timestamps(UNSET, len(series.values), frame))


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
