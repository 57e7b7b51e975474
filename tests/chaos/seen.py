"""What a fault run showed: a row of figures, the table of all rows, and the file of them."""

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from tests.chaos.history import Checked, History

COLUMNS: Final = (
    "fault",
    "faults",
    "points_per_second",
    "requests",
    "refused",
    "unanswered",
    "acknowledged",
    "lost",
    "alerts",
    "ack_ms_p50",
    "ack_ms_p99",
    "ack_ms_max",
    "back_seconds_max",
)


@dataclass(frozen=True)
class Row:
    """Figures of one fault; times are reported, never asserted."""

    fault: str
    faults: int  # how often it was done
    seconds: float
    points_per_second: int  # acknowledged
    requests: int
    refused: int  # 503 or 429
    unanswered: int  # the connection broke
    acknowledged: int  # points
    lost: int  # of these
    alerts: int
    ack_ms_p50: float
    ack_ms_p99: float
    ack_ms_max: float
    back_seconds_max: float | None = None  # from the return of what was away to the next answer
    more: dict[str, float] = field(default_factory=dict)


def row_of(
    fault: str,
    history: History,
    checked: Checked,
    *,
    faults: int,
    returns: Sequence[float] = (),
    more: dict[str, float] | None = None,
) -> Row:
    """`returns` are the moments at which what was away came back."""
    accepted = history.accepted
    taken_ms = [1000 * attempt.seconds for attempt in accepted]
    seconds = max(attempt.ended for attempt in history.attempts) - history.started
    back = [history.first_accepted_after(moment) for moment in returns]
    return Row(
        fault=fault,
        faults=faults,
        seconds=round(seconds, 1),
        points_per_second=round(checked.acknowledged / seconds),
        requests=len(history.attempts),
        refused=len(history.refused),
        unanswered=len(history.unanswered),
        acknowledged=checked.acknowledged,
        lost=checked.lost,
        alerts=checked.alerts,
        ack_ms_p50=round(float(np.percentile(taken_ms, 50)), 1),
        ack_ms_p99=round(float(np.percentile(taken_ms, 99)), 1),
        ack_ms_max=round(max(taken_ms), 1),
        back_seconds_max=round(max(filter(None, back)), 3) if any(back) else None,
        more=more or {},
    )


def table(rows: Sequence[Row]) -> list[str]:
    """Lines of a table, one row per fault."""
    cells = [list(COLUMNS), *([_cell(asdict(row)[name]) for name in COLUMNS] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(COLUMNS))]
    lines = ["  ".join(c.rjust(w) for c, w in zip(line, widths, strict=True)) for line in cells]
    notes = [f"{row.fault}: {json.dumps(row.more)}" for row in rows if row.more]
    return lines + notes


def write(path: Path, rows: Sequence[Row]) -> None:
    """The same as a file, with what it ran on; rows of faults that were not run stay."""
    known = json.loads(path.read_text())["faults"] if path.is_file() else []
    fresh = {row.fault for row in rows}
    faults = [row for row in known if row["fault"] not in fresh] + [asdict(row) for row in rows]
    machine = {"cores": os.cpu_count(), "machine": platform.machine()}
    document = {"machine": machine, "faults": sorted(faults, key=lambda row: str(row["fault"]))}
    path.write_text(json.dumps(document, indent=1) + "\n")


def _cell(value: object) -> str:
    return "-" if value is None else str(value)
