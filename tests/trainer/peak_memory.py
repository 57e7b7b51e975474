"""Prints by how many MiB the peak memory of a process grows while it fits a long series.

    python -m tests.trainer.peak_memory MODEL ROWS
    python -m tests.trainer.peak_memory calibration ROWS

The latter calibrates on so many held-out rows. A process of its own, since a peak never falls.
"""

import resource
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from service.scoring.series import Series
from trainer.build import build_bundle
from trainer.calibrate import calibrate
from trainer.config import Model, preset
from trainer.fit import fit
from trainer.observe import Stretch

DIMENSIONS, BATCH = 38, 50_000


def long_series(rows: int) -> Series:
    """Waves and noise, made in pieces."""
    random = np.random.default_rng(0)
    values, mixing = np.empty((rows, DIMENSIONS)), random.normal(size=(3, DIMENSIONS))
    for start in range(0, rows, BATCH):
        part = values[start : start + BATCH]
        time = np.arange(start, start + len(part))[:, None] / np.array([9.0, 31.0, 500.0])
        part[:] = np.sin(time) @ mixing
        part += 0.1 * random.normal(size=part.shape)
    return Series(
        entity="long",
        dimensions=tuple(f"d{number:02}" for number in range(DIMENSIONS)),
        timestamps_ms=60_000 * np.arange(rows, dtype=np.int64),
        values=values,
        label=None,
        segments=(),
    )


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def calibration_growth(rows: int) -> float:
    """Of a bundle that was fitted to a few rows."""
    config = preset("small", epochs=0)
    with TemporaryDirectory() as folder:
        few = fit([long_series(2_000)], config)
        draft = build_bundle(few, Path(folder), name="long", period_seconds=60)
        values = long_series(rows).values.astype(np.float32)
        stretch = Stretch(1, 100, values, np.zeros(values.shape, np.bool_))
        before = peak_mib()
        calibrate(draft, [stretch])
    return peak_mib() - before


def fit_growth(model: Model, rows: int) -> float:
    one, few = long_series(rows), {"epochs": 1, "epoch_steps": 2}
    config = preset("small", model=model, **({} if model == "linear" else few))
    before = peak_mib()
    fit([one], config)
    return peak_mib() - before


if __name__ == "__main__":
    what, count = sys.argv[1], int(sys.argv[2])
    growth = calibration_growth(count) if what == "calibration" else fit_growth(what, count)  # type: ignore[arg-type]
    print(round(growth))  # noqa: T201  the answer
