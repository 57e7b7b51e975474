"""The file of `gaugewatch score --output`: verdicts as NPZ, as CSV, or as marks in a JSON input."""

import csv
from pathlib import Path

import numpy as np
import numpy.typing as npt

from service.errors import BadInput
from service.scoring.offline import Scored
from service.scoring.series import Series
from service.scoring.series_json import write_marked

COLUMNS = ("timestamp", "status", "score", "severity", "is_anomaly", "p_value")


def expect_writable(output: Path, origin: Path) -> None:
    """Raise BadInput where a file of this name cannot be written of such an input."""
    suffix = output.suffix.lower()
    if suffix not in {".npz", ".csv", ".json"}:
        raise BadInput(f"{output}: expected a name ending in .npz, .csv or .json")
    if suffix == ".json" and origin.suffix.lower() != ".json":
        raise BadInput(
            f"{output}: expected a name ending in .npz or .csv, for the input is no JSON"
        )


def write_scored(output: Path, scored: Scored, *, series: Series, origin: Path) -> None:
    """Write the verdicts on a series as the ending of the name says."""
    match output.suffix.lower():
        case ".json":
            write_marked(output, origin, is_anomaly=scored.is_anomaly, score=scored.score)
        case ".csv":
            _write_csv(output, scored, series)
        case _:
            _write_arrays(output, scored)


def _write_arrays(path: Path, scored: Scored) -> None:
    """`score, severity, is_anomaly, p_value, status` (time,); `contribution, expected` (time, dim).

    Under the name as it is: NumPy adds an ending to one in capitals.
    """
    arrays = {name: value for name, value in vars(scored).items() if name != "told"}
    with path.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def _write_csv(path: Path, scored: Scored, series: Series) -> None:
    """A row per point; empty where it was not scored, and numbers that read back as they are."""
    columns = [
        series.timestamps_ms.tolist(),
        scored.status.tolist(),
        *(_cells(own) for own in (scored.score, scored.severity)),
        scored.is_anomaly.astype(int).tolist(),
        _cells(scored.p_value),
        *(_cells(own) for own in scored.contribution.T),
    ]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*COLUMNS, *(f"contribution_{name}" for name in series.dimensions)])
        writer.writerows(zip(*columns, strict=True))


def _cells(numbers: npt.NDArray[np.float32 | np.float64]) -> list[str]:
    return ["" if np.isnan(number) else str(number) for number in numbers]
