"""The answer of a batch as CSV: a line for each point, made piece by piece."""

import csv
import io
from collections.abc import Iterable, Iterator
from typing import Final

from service.scoring.fold import TOP_CAUSES
from service.web.detect_answer import ROWS_AT_ONCE, Detected, rows_of
from service.web.detect_messages import Contributions, DetectedRow

FIELDS: Final = ("timestamp_ms", "status", "score", "severity", "p_value", "is_anomaly")
CAUSE_FIELDS: Final = ("cause", "share", "value", "expected", "band")


def as_csv(detected: Detected, *, contributions: Contributions) -> Iterator[bytes]:
    """The rows alone, in pieces: one line a point, five cells for each of its causes."""
    width = len(detected.series.dimensions)
    count = width if contributions == "all" else min(width, TOP_CAUSES)
    causes = [f"{field}_{rank}" for rank in range(1, count + 1) for field in CAUSE_FIELDS]
    columns = [*FIELDS, *causes]
    yield _lines([list(columns)], width=len(columns))
    for start in range(0, len(detected.scored.score), ROWS_AT_ONCE):
        rows = rows_of(detected, start=start, contributions=contributions)
        yield _lines([_cells(row) for row in rows], width=len(columns))


def _cells(row: DetectedRow) -> list[object]:
    own = (row.timestamp_ms, row.status, row.score, row.severity, row.p_value, int(row.is_anomaly))
    causes = ((one.dimension, one.share, one.value, one.expected, one.band) for one in row.causes)
    return [_cell(cell) for cell in (*own, *(cell for cause in causes for cell in cause))]


def _cell(cell: object) -> object:
    return "" if cell != cell else cell


def _lines(rows: Iterable[list[object]], *, width: int) -> bytes:
    """Lines of `width` cells; a point with fewer causes ends with empty ones."""
    text = io.StringIO()
    full = ([*row, *[""] * (width - len(row))] for row in rows)
    csv.writer(text, lineterminator="\n").writerows(full)
    return text.getvalue().encode()
