"""Prints by how many MiB the peak memory of a process grows while it fits a long series.

    python -m tests.trainer.peak_memory MODEL ROWS

A process of its own, since a peak never falls.
"""

import resource
import sys

import numpy as np

from service.scoring.series import Series
from trainer.config import preset
from trainer.fit import fit

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


if __name__ == "__main__":
    one, few = long_series(int(sys.argv[2])), {"epochs": 1, "epoch_steps": 2}
    config = preset("small", model=sys.argv[1], **({} if sys.argv[1] == "linear" else few))  # type: ignore[arg-type]
    before = peak_mib()
    fit([one], config)
    print(round(peak_mib() - before))  # noqa: T201  the answer
