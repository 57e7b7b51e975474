"""The simulator: a seeded fleet of servers with known faults, in memory and on disk.

One latent load per entity (a day, a week, wander, bursts) and a clock of batch jobs drive every
dimension through lags, saturation and queueing; entities differ by gains, offsets and phases only,
so one shared model with per-entity scaling fits all. `fleet_seed` fixes what an entity is, `seed`
what happens to it: another seed and a later start continue the very same fleet.
"""

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
FaultKind = Literal[
    "spike",
    "level_shift",
    "slow_leak",
    "variance_change",
    "stuck_value",
    "lost_dimension",
    "broken_correlation",
]

DAY_SECONDS = 86_400.0
LEAD_SECONDS = 43_200.0  # simulated ahead of the first point
BURST_SECONDS = 10_800.0  # mean time between two bursts of load


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


class FaultPlan(NamedTuple):
    """How long a fault lasts, in points, and how strong it is, in residual standard deviations.

    The residual is a value minus what its drivers alone would give. A variance change multiplies
    the residual; the kinds without a magnitude have zero.
    """

    shortest: int
    longest: int
    weakest: float
    strongest: float


FAULT_PLANS: dict[FaultKind, FaultPlan] = {
    "spike": FaultPlan(1, 4, 12, 25),
    "level_shift": FaultPlan(30, 90, 6, 12),
    "slow_leak": FaultPlan(120, 240, 14, 24),
    "variance_change": FaultPlan(40, 120, 5, 9),
    "stuck_value": FaultPlan(40, 120, 0, 0),
    "lost_dimension": FaultPlan(30, 90, 0, 0),
    "broken_correlation": FaultPlan(60, 150, 0, 0),
}


@dataclass(frozen=True)
class FleetConfig:
    """What to simulate. Faults are in the test part only, after a warm-up without any."""

    seed: int = 0
    fleet_seed: int = 0
    entities: int = 8
    train_points: int = 4320
    test_points: int = 1440
    period_seconds: float = 60.0
    start_timestamp_ms: int = 1_736_121_600_000  # Monday 2025-01-06 00:00 UTC
    faults_per_entity: int = 4
    fault_kinds: tuple[FaultKind, ...] = tuple(FAULT_PLANS)
    warm_up_points: int = 120
    quiet_points: int = 60  # at least so many between two faults, and after the last

    def __post_init__(self) -> None:
        """Refuse what cannot be simulated."""
        least = {"entities": 1, "train_points": 0, "test_points": 1, "faults_per_entity": 0}
        for field, bound in (least | {"warm_up_points": 1, "quiet_points": 1}).items():
            if getattr(self, field) < bound:
                raise ValueError(f"expected {field} >= {bound}, came {getattr(self, field)}")
        if not self.period_seconds > 0:
            raise ValueError(f"expected period_seconds > 0, came {self.period_seconds}")
        if not self.fault_kinds or not set(self.fault_kinds) <= set(FAULT_PLANS):
            raise ValueError(f"expected kinds of {[*FAULT_PLANS]}, came {[*self.fault_kinds]}")


@dataclass(frozen=True)
class Fault:
    """An injected fault: points start..end inclusive of the test part, and its culprits."""

    kind: FaultKind
    start: int
    end: int
    dimensions: tuple[int, ...]
    names: tuple[str, ...]
    magnitude: float


@dataclass(frozen=True)
class SimulatedEntity:
    """One entity: raw values of both parts, and what was done to the second."""

    name: str
    dimensions: tuple[str, ...]
    train: FloatArray  # (time, dimension)
    test: FloatArray  # (time, dimension), NaN where a fault lost a dimension
    train_timestamps_ms: npt.NDArray[np.int64]
    test_timestamps_ms: npt.NDArray[np.int64]
    label: npt.NDArray[np.bool_]  # (time,) of test
    faults: tuple[Fault, ...]


def simulate_fleet(config: FleetConfig) -> list[SimulatedEntity]:
    """Simulate every entity; equal configurations give equal fleets."""
    return [_simulate_entity(config, number) for number in range(1, config.entities + 1)]


def _simulate_entity(config: FleetConfig, number: int) -> SimulatedEntity:
    split = config.train_points
    steps = np.arange(split + config.test_points)
    elapsed_ms = np.rint(steps * (config.period_seconds * 1000)).astype(np.int64)
    timestamps_ms = config.start_timestamp_ms + elapsed_ms
    traits = _traits(np.random.default_rng([config.fleet_seed, number, 0]))
    healthy = _healthy(config, traits, np.random.default_rng([config.seed, number, 1, traits.key]))
    chance = np.random.default_rng([config.seed, number, 2, traits.key])
    test, faults = _with_faults(config, healthy, chance)
    label = np.zeros(config.test_points, np.bool_)
    for fault in faults:
        label[fault.start : fault.end + 1] = True
    return SimulatedEntity(
        name=f"node-{number:02d}",
        dimensions=DIMENSION_NAMES,
        train=healthy.values[:split],
        test=test,
        train_timestamps_ms=timestamps_ms[:split],
        test_timestamps_ms=timestamps_ms[split:],
        label=label,
        faults=faults,
    )


# ---- physics


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


def _traits(random: np.random.Generator) -> Traits:
    return Traits(
        key=int(random.integers(1 << 31)),
        gain=random.lognormal(0.0, 0.2, len(DIMENSIONS)),
        offset=random.uniform(0.0, 0.15, len(DIMENSIONS)),
        level=random.uniform(0.75, 1.1),
        phase_seconds=random.uniform(-3600.0, 3600.0),
        job_second=int(random.integers(3600)),
    )


def _healthy(config: FleetConfig, traits: Traits, random: np.random.Generator) -> Healthy:
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
    return Healthy(expected, _recorded(np.stack(noisy, axis=1), range(len(DIMENSIONS))))


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


def _recorded(values: FloatArray, columns: Sequence[int]) -> FloatArray:
    """Values as a server would report them: inside their bounds, with so many decimals."""
    most = np.array([DIMENSIONS[column].most for column in columns])
    scale = 10.0 ** np.array([DIMENSIONS[column].decimals for column in columns])
    recorded: FloatArray = np.rint(np.clip(values, 0.0, most) * scale) / scale
    return recorded


# ---- faults


class Scene(NamedTuple):
    """What a fault finds: its stretch of the guilty dimensions, and the healthy rest."""

    expected: FloatArray  # (time, guilty)
    values: FloatArray  # (time, guilty)
    before: FloatArray  # (guilty,) the last values ahead of the fault
    residual_sd: FloatArray  # (guilty,)
    most: FloatArray  # (guilty,)
    healthy: Healthy  # of the guilty dimensions, where other times may be borrowed from
    magnitude: float


Effect = Callable[[Scene, np.random.Generator], FloatArray]


def _shifted(scene: Scene, random: np.random.Generator) -> FloatArray:
    return scene.values + _step(scene, random)


def _leaking(scene: Scene, random: np.random.Generator) -> FloatArray:
    count = len(scene.values)
    return scene.values + _step(scene, random) * np.linspace(1 / count, 1, count)[:, np.newaxis]


def _step(scene: Scene, random: np.random.Generator) -> FloatArray:
    """A shift per dimension, up or down, turned where it would leave the possible values."""
    step = scene.magnitude * scene.residual_sd
    lowest, highest = scene.values.min(axis=0), scene.values.max(axis=0)
    sign = random.choice([-1.0, 1.0], len(step))
    sign = np.where(lowest - step < 0, 1.0, sign)
    return np.where(highest + step > scene.most, -1.0, sign) * step  # (guilty,)


def _noisier(scene: Scene, _random: np.random.Generator) -> FloatArray:
    return scene.expected + scene.magnitude * (scene.values - scene.expected)


def _stuck(scene: Scene, _random: np.random.Generator) -> FloatArray:
    return np.broadcast_to(scene.before, scene.values.shape)


def _lost(scene: Scene, _random: np.random.Generator) -> FloatArray:
    return np.full_like(scene.values, np.nan)


def _borrowed(scene: Scene, random: np.random.Generator) -> FloatArray:
    """The same dimensions at another time, of 64 drawn the one least like the present."""
    count = len(scene.values)
    starts = random.integers(0, len(scene.healthy.values) - count + 1, 64)
    unlike = [
        np.abs(scene.healthy.expected[start : start + count] - scene.expected).mean(axis=0)
        / scene.residual_sd
        for start in starts
    ]
    start = starts[np.argmax(np.min(unlike, axis=1))]
    return scene.healthy.values[start : start + count]


EFFECTS: dict[FaultKind, Effect] = {
    "spike": _shifted,
    "level_shift": _shifted,
    "slow_leak": _leaking,
    "variance_change": _noisier,
    "stuck_value": _stuck,
    "lost_dimension": _lost,
    "broken_correlation": _borrowed,
}


def _with_faults(
    config: FleetConfig, healthy: Healthy, random: np.random.Generator
) -> tuple[FloatArray, tuple[Fault, ...]]:
    split = config.train_points
    known = slice(0, split) if split >= config.test_points else slice(split, None)
    pool = Healthy(healthy.expected[known], healthy.values[known])
    future = Healthy(healthy.expected[split:], healthy.values[split:])
    test = future.values.copy()
    faults = []
    for kind, start, count in _schedule(config, random):
        columns = _culprits(kind, pool, random)
        plan = FAULT_PLANS[kind]
        rows = slice(start, start + count)
        scene = Scene(
            expected=future.expected[rows, columns],
            values=future.values[rows, columns],
            before=future.values[start - 1, columns],
            residual_sd=_residual_sd(pool)[columns],
            most=np.array([DIMENSIONS[column].most for column in columns]),
            healthy=Healthy(pool.expected[:, columns], pool.values[:, columns]),
            magnitude=round(random.uniform(plan.weakest, plan.strongest), 1),
        )
        test[rows, columns] = _recorded(EFFECTS[kind](scene, random), columns)
        names = tuple(DIMENSION_NAMES[column] for column in columns)
        end = start + count - 1
        faults.append(Fault(kind, start, end, tuple(columns), names, scene.magnitude))
    return test, tuple(faults)


def _schedule(config: FleetConfig, random: np.random.Generator) -> list[tuple[FaultKind, int, int]]:
    """Kind, first point and number of points of each fault, in order of time."""
    rounds = -(-config.faults_per_entity // len(config.fault_kinds))
    drawn = [i for _ in range(rounds) for i in random.permutation(len(config.fault_kinds))]
    kinds = [config.fault_kinds[i] for i in drawn[: config.faults_per_entity]]
    counts = [
        int(random.integers(FAULT_PLANS[kind].shortest, FAULT_PLANS[kind].longest + 1))
        for kind in kinds
    ]
    needed = config.warm_up_points + sum(counts) + config.quiet_points * len(kinds)
    if needed > config.test_points:
        raise ValueError(
            f"expected at least {needed} test_points for {len(kinds)} faults with their quiet "
            f"points, came {config.test_points}"
        )
    spare = np.sort(random.integers(0, config.test_points - needed + 1, len(kinds)))
    ahead = np.cumsum([0, *counts])[:-1] + config.quiet_points * np.arange(len(kinds))
    starts = (config.warm_up_points + spare + ahead).tolist()
    return list(zip(kinds, starts, counts, strict=True))


def _culprits(kind: FaultKind, pool: Healthy, random: np.random.Generator) -> list[int]:
    """Some dimensions of one subsystem in which this fault can be seen."""
    fit = np.array([dimension.noise_size > 0 for dimension in DIMENSIONS])
    if kind in {"broken_correlation", "stuck_value"}:
        low, high = np.quantile(pool.expected, [0.2, 0.8], axis=0)
        fit &= high - low > 3 * _residual_sd(pool)  # what follows the load can break with it
    systems = sorted({DIMENSIONS[column].subsystem for column in np.flatnonzero(fit)})
    system = systems[random.integers(len(systems))]
    able = [i for i in np.flatnonzero(fit).tolist() if DIMENSIONS[i].subsystem == system]
    most = 2 if kind == "broken_correlation" else 3  # its partners must still show the truth
    size = int(random.integers(1, min(most, len(able)) + 1))
    return sorted(random.choice(able, size, replace=False).tolist())


def _residual_sd(healthy: Healthy) -> FloatArray:
    sd: FloatArray = (healthy.values - healthy.expected).std(axis=0)  # (dimension,)
    return sd


# ---- files


def write_npz(fleet: Sequence[SimulatedEntity], folder: Path) -> list[Path]:
    """One NPZ per entity, both parts, readable by `read_series`; `timestamps` in Unix seconds."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for entity in fleet:
        paths.append(folder / f"{entity.name}.npz")
        stamps = np.concatenate([entity.train_timestamps_ms, entity.test_timestamps_ms])
        segments = [[fault.start, fault.end, fault.dimensions] for fault in entity.faults]
        np.savez_compressed(
            paths[-1],
            train=entity.train,
            test=entity.test,
            label=entity.label.astype(np.uint8),
            interpretation=np.array(json.dumps(segments)),
            timestamps=stamps / 1000,
            dimensions=np.array(entity.dimensions),
            faults=np.array(json.dumps([asdict(fault) for fault in entity.faults])),
        )
    return paths


def write_csv(
    fleet: Sequence[SimulatedEntity], folder: Path, *, part: Literal["train", "test"] = "test"
) -> list[Path]:
    """One CSV per entity for a spreadsheet: timestamp, dimensions, label, culprits (`a|b`)."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for entity in fleet:
        paths.append(folder / f"{entity.name}.csv")
        with paths[-1].open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["timestamp", *entity.dimensions, "label", "culprits"])
            writer.writerows(_csv_rows(entity, part))
    return paths


def _csv_rows(entity: SimulatedEntity, part: Literal["train", "test"]) -> Iterator[list[str]]:
    is_test = part == "test"
    values = entity.test if is_test else entity.train
    stamps = entity.test_timestamps_ms if is_test else entity.train_timestamps_ms
    culprits = [""] * len(values)
    for fault in entity.faults if is_test else ():
        names = "|".join(fault.names)
        culprits[fault.start : fault.end + 1] = [names] * (fault.end - fault.start + 1)
    times = np.datetime_as_string(stamps.astype("datetime64[ms]"), timezone="UTC")
    for time, row, names in zip(times.tolist(), values.tolist(), culprits, strict=True):
        cells = ["" if value != value else f"{value:.15g}" for value in row]
        yield [time, *cells, "1" if names else "0", names]
