"""The timestamps of a series: int64 milliseconds from what files hold, strictly increasing."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt

from service.errors import BadSeries

Place = Callable[[int], str]  # names a row for a message

FIRST_MS = 1e11  # read as seconds the year 5138, as milliseconds 1973
END_MS = 1e14  # beyond are microseconds and nanoseconds, which we do not guess
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def iso_ms(text: str) -> int:
    """Milliseconds of an ISO 8601 moment, UTC where it names no zone; raises ValueError."""
    moment = datetime.fromisoformat(text.strip())
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (moment - EPOCH) // timedelta(milliseconds=1)


def unix_ms(stamps: npt.NDArray[np.float64], place: Place) -> npt.NDArray[np.int64]:
    """Milliseconds of Unix seconds or milliseconds: their size tells which."""
    sizes = np.abs(stamps)
    for row in np.flatnonzero(~(sizes < END_MS))[:1]:
        raise BadSeries(
            f"{place(row)}: expected a timestamp in Unix seconds or milliseconds, "
            f"came {stamps[row]:.15g}"
        )
    factor = 1 if sizes.max() >= FIRST_MS else 1000
    return np.rint(stamps * factor).astype(np.int64)


def by_period(
    rows: npt.NDArray[np.int64] | npt.NDArray[np.float64], period_seconds: float
) -> npt.NDArray[np.int64]:
    """Milliseconds of rows that have no timestamps but a period."""
    return np.rint(rows.astype(np.float64) * (period_seconds * 1000)).astype(np.int64)


def increasing(timestamps_ms: npt.NDArray[np.int64], place: Place) -> npt.NDArray[np.int64]:
    """The same timestamps; raises BadSeries at the first that is not after the one before."""
    for row in np.flatnonzero(np.diff(timestamps_ms) <= 0)[:1]:
        before, came = timestamps_ms[row : row + 2].tolist()
        raise BadSeries(f"{place(row + 1)}: expected a timestamp after {before} ms, came {came} ms")
    return timestamps_ms
