"""A healthy server: one load and a clock of batch jobs, felt through lags, queues and limits."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from service.simulator.config import FleetConfig
from service.simulator.dimensions import DIMENSIONS, Dimension, FloatArray, recorded

DAY_SECONDS = 86_400.0
LEAD_SECONDS = 43_200.0  # simulated ahead of the first point
BURST_SECONDS = 10_800.0  # mean time between two bursts of load


class Traits(NamedTuple):
    """What makes an entity this one and no other."""

    key: int  # of its random streams
    gain: FloatArray  # (dimension,)
    offset: FloatArray  # (dimension,)
    level: float  # of the load
    phase_seconds: float  # of the day
    job_second: int  # of the hour, when the batch job starts


class Healthy(NamedTuple):
    """Both parts without faults: what the drivers alone give, and with noise."""

    expected: FloatArray  # (time, dimension)
    values: FloatArray  # (time, dimension)

    def at(self, rows: slice, columns: slice | Sequence[int] = slice(None)) -> "Healthy":
        """Some points of some dimensions."""
        return Healthy(self.expected[rows, columns], self.values[rows, columns])

    def residual_sd(self) -> FloatArray:
        """What the noise adds to the drivers, as one standard deviation per dimension."""
        sd: FloatArray = (self.values - self.expected).std(axis=0)  # (dimension,)
        return sd


def draw_traits(random: np.random.Generator) -> Traits:
    """Draw an entity."""
    return Traits(
        key=int(random.integers(1 << 31)),
        gain=random.lognormal(0.0, 0.2, len(DIMENSIONS)),
        offset=random.uniform(0.0, 0.15, len(DIMENSIONS)),
        level=random.uniform(0.75, 1.1),
        phase_seconds=random.uniform(-3600.0, 3600.0),
        job_second=int(random.integers(3600)),
    )


def run_healthy(config: FleetConfig, traits: Traits, random: np.random.Generator) -> Healthy:
    """Simulate both parts of an entity that no fault strikes."""
    period = config.period_seconds
    lead = int(np.ceil(LEAD_SECONDS / period))  # so that every lag forgets it started from zero
    steps = np.arange(-lead, config.train_points + config.test_points)
    seconds = (config.start_timestamp_ms / 1000 + steps * period).astype(np.float64)
    load = _load(seconds, traits, random, period=period)
    drivers = _drivers(load, _jobs(seconds, traits, random, period=period), period=period)
    base = np.stack([drivers[each.driver][lead:] for each in DIMENSIONS], axis=1)
    floor = np.array([each.floor for each in DIMENSIONS])
    span = np.array([each.span for each in DIMENSIONS])
    expected = floor + span * (traits.offset + traits.gain * base)  # (time, dimension)
    noisy = [
        _noisy(dimension, expected[:, column], random)
        for column, dimension in enumerate(DIMENSIONS)
    ]
    return Healthy(expected, recorded(np.stack(noisy, axis=1), range(len(DIMENSIONS))))


def _load(
    seconds: FloatArray, traits: Traits, random: np.random.Generator, *, period: float
) -> FloatArray:
    """The demand on an entity: quiet at night, two humps by day, wandering, with bursts."""
    hours = 2 * np.pi * ((seconds - traits.phase_seconds) / DAY_SECONDS)
    day = 0.5 + 0.32 * np.cos(hours - 2 * np.pi * 14.5 / 24) + 0.1 * np.cos(2 * hours - 5.5)
    week = 1 + 0.05 * np.cos(hours / 7)
    slow = _wander(random, len(seconds), 2400 / period)
    fast = _wander(random, len(seconds), 240 / period)
    arrivals = random.random(len(seconds)) < min(1.0, period / BURST_SECONDS)
    heights = arrivals * random.gamma(2.0, 0.13, len(seconds))
    bursts = _lagged(heights, 480 / period) / (1 - np.exp(-period / 480))
    load: FloatArray = traits.level * day * week * np.exp(0.13 * slow + 0.07 * fast) + bursts
    return load


def _jobs(
    seconds: FloatArray, traits: Traits, random: np.random.Generator, *, period: float
) -> FloatArray:
    """Batch work on the clock: five minutes an hour, of varying size, and a backup at night."""
    since = seconds - traits.job_second
    hour = (since // 3600 - since[0] // 3600).astype(np.int64)
    sizes = random.gamma(8.0, 1 / 10, hour[-1] + 1)
    hourly = np.where(since % 3600 < 300, sizes[hour], 0.0)
    nightly = np.where((seconds - traits.phase_seconds - 7200) % DAY_SECONDS < 2400, 0.5, 0.0)
    idle = 0.06 * np.exp(0.4 * _wander(random, len(seconds), 600 / period))
    return _lagged(hourly + nightly, 60 / period) + idle


def _drivers(load: FloatArray, jobs: FloatArray, *, period: float) -> dict[str, FloatArray]:
    """What moves each dimension: the load and the jobs, saturated, queued and delayed."""

    def lagged(values: FloatArray, seconds: float) -> FloatArray:
        return _lagged(values, seconds / period)

    cpu = 1 - np.exp(-(1.3 * load + 0.4 * jobs))
    queue = cpu**2 / (1.15 - cpu) / 3  # waiting grows without bound as the processor fills
    heat = lagged(cpu, 900)
    return {
        "constant": np.zeros_like(load),
        "demand": load,
        "cpu": cpu,
        "system": 0.65 * cpu + 0.35 * jobs,
        "load": lagged(queue + 0.2 * jobs, 60),
        "memory": lagged(load, 5400),
        "disk_read": 0.2 * load + 0.8 * jobs,
        "disk_write": 0.5 * lagged(load, 300) + 0.5 * jobs,
        "disk_queue": lagged((0.35 * load + 0.8 * jobs) ** 2, 60),
        "net_out": np.tanh(1.2 * load),  # the link saturates
        "sessions": lagged(load, 600),
        "queue": queue,
        "errors": queue**1.5,
        "gc": 0.5 * lagged(load, 5400) + 0.5 * load,
        "open_files": lagged(load, 1200) + 0.15 * jobs,
        "misses": lagged(0.5 * load + 0.5 * jobs, 180),
        "pool": lagged(load, 120),
        "heat": heat,
        "fan": np.clip((lagged(heat, 120) - 0.3) / 0.5, 0.0, 1.0),  # idles until it is warm
    }


def _lagged(values: FloatArray, points: float) -> FloatArray:
    """First-order lag with a time constant of so many points."""
    kernel = np.exp(-np.arange(int(np.ceil(8 * points)) + 1) / points)
    size = 1 << (len(values) + len(kernel)).bit_length()  # a power of two is fast
    spectrum = np.fft.rfft(values, size) * np.fft.rfft(kernel / kernel.sum(), size)
    lagged: FloatArray = np.fft.irfft(spectrum, size)[: len(values)]
    return lagged


def _wander(random: np.random.Generator, count: int, points: float) -> FloatArray:
    """First-order autoregressive noise of unit variance."""
    decay = np.exp(-1 / points)
    spread = float(np.sqrt((1 + decay) / (1 - decay)))
    return _lagged(random.normal(size=count), points) * spread


def _noisy(dimension: Dimension, expected: FloatArray, random: np.random.Generator) -> FloatArray:
    size, count = dimension.noise_size, len(expected)
    if size == 0:
        return expected
    if dimension.noise == "gamma":
        return expected * random.gamma(size**-2, size**2, count)
    if dimension.noise == "lognormal":
        return expected * random.lognormal(-(size**2) / 2, size, count)
    return expected + dimension.span * size * random.normal(size=count)
