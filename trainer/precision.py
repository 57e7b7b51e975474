"""What int8 costs: the same calibration rows through both step graphs, each with its own state.

Differences are of the mean scaled error, in its interquartile ranges, as for the memory horizon.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from service.errors import TrainingFailed
from trainer.fitted import Fitted
from trainer.graphs import state_shapes
from trainer.horizon import FLAG_QUANTILE, calibration_errors
from trainer.parity import Graphs, batch_difference

FLOAT_STEP, INT8_STEP = "step.onnx", "step.int8.onnx"
LIMITS = {"int8_p99_iqr": 0.15, "int8_flips": 0.001, "int8_batch": 0.0}


def measure_precision(fitted: Fitted, folder: Path) -> dict[str, float]:
    """99th percentile of the difference, share of flags that flip, and whether batches matter."""
    shapes = state_shapes(fitted)
    ours, exact = (Graphs(folder, shapes, step=name) for name in (INT8_STEP, FLOAT_STEP))
    found, expected = (calibration_errors(fitted, graphs) for graphs in (ours, exact))
    low, high, flag = np.quantile(expected, [0.25, 0.75, FLAG_QUANTILE])
    difference = np.quantile(np.abs(found - expected), 0.99) / (high - low)
    own_flag = np.quantile(found, FLAG_QUANTILE)
    return {
        "int8_p99_iqr": float(difference),
        "int8_flips": float(((found > own_flag) != (expected > flag)).mean()),
        "int8_batch": batch_difference(fitted, ours),
    }


def check_precision(parity: Mapping[str, float], folder: Path) -> None:
    """Raise TrainingFailed where int8 says something else than float32, or batches matter."""
    wrong = {name: parity[name] for name, limit in LIMITS.items() if not parity[name] <= limit}
    if wrong:
        found = ", ".join(f"{name} {value:.3g}" for name, value in wrong.items())
        raise TrainingFailed(
            f"{folder / INT8_STEP} does not say what {FLOAT_STEP} says: expected at most {LIMITS}, "
            f"got {found}; fix: train it without --quantise"
        )
