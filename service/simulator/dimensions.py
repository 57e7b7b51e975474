"""The dimensions of a server: what drives each, how noisy it is, and how it is reported."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


class Dimension(NamedTuple):
    """How a dimension follows its driver: (floor + span x driver), noise of relative size."""

    name: str
    subsystem: str  # faults strike dimensions of one subsystem
    driver: str
    floor: float
    span: float
    noise: Literal["gamma", "lognormal", "normal"]
    noise_size: float
    most: float = np.inf
    decimals: int = 0


DIMENSIONS = (
    Dimension("cpu_user", "cpu", "cpu", 2, 78, "gamma", 0.05, 100, 2),
    Dimension("cpu_system", "cpu", "system", 1, 28, "gamma", 0.07, 100, 2),
    Dimension("load_1", "cpu", "load", 0.1, 14, "gamma", 0.06, np.inf, 2),
    Dimension("memory_used", "memory", "memory", 4e9, 9e9, "normal", 0.008),
    Dimension("memory_total", "memory", "constant", 1.6e10, 1e10, "normal", 0),
    Dimension("page_faults", "memory", "demand", 200, 4_000, "gamma", 0.12),
    Dimension("disk_read_bytes", "disk", "disk_read", 2e5, 6e7, "gamma", 0.15),
    Dimension("disk_write_bytes", "disk", "disk_write", 1e6, 1.2e8, "gamma", 0.12),
    Dimension("disk_queue", "disk", "disk_queue", 0.05, 3, "gamma", 0.15, np.inf, 3),
    Dimension("net_in_bytes", "network", "demand", 2e6, 1.5e8, "gamma", 0.05),
    Dimension("net_out_bytes", "network", "net_out", 5e6, 6e8, "gamma", 0.05),
    Dimension("tcp_established", "network", "sessions", 40, 2_500, "normal", 0.02),
    Dimension("tcp_retransmits", "network", "queue", 2, 60, "gamma", 0.35),
    Dimension("requests_per_second", "service", "demand", 5, 1_800, "gamma", 0.04, np.inf, 1),
    Dimension("latency_ms_p50", "service", "queue", 6, 14, "lognormal", 0.06, np.inf, 2),
    Dimension("latency_ms_p99", "service", "queue", 30, 220, "lognormal", 0.14, np.inf, 1),
    Dimension("errors_per_second", "service", "errors", 0.2, 6, "gamma", 0.4, np.inf, 2),
    Dimension("gc_pause_ms", "memory", "gc", 3, 40, "lognormal", 0.15, np.inf, 2),
    Dimension("threads", "process", "sessions", 60, 240, "normal", 0.012),
    Dimension("open_files", "process", "open_files", 300, 3_000, "normal", 0.012),
    Dimension("cache_hit_ratio", "service", "misses", 0.985, -0.16, "normal", 0.03, 1, 4),
    Dimension("db_connections", "process", "pool", 4, 58, "normal", 0.02, 80),
    Dimension("temperature_c", "heat", "heat", 34, 38, "normal", 0.012, np.inf, 1),
    Dimension("fan_rpm", "heat", "fan", 1_800, 4_500, "normal", 0.012),
)
DIMENSION_NAMES = tuple(dimension.name for dimension in DIMENSIONS)


def recorded(values: FloatArray, columns: Sequence[int]) -> FloatArray:
    """Values as a server would report them: inside their bounds, with so many decimals."""
    most = np.array([DIMENSIONS[column].most for column in columns])
    scale = 10.0 ** np.array([DIMENSIONS[column].decimals for column in columns])
    recorded: FloatArray = np.rint(np.clip(values, 0.0, most) * scale) / scale
    return recorded
