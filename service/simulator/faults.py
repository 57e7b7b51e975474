"""Faults: when they strike, which dimensions are guilty, and what becomes of their values."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from service.simulator.config import FAULT_PLANS, FaultKind, FleetConfig
from service.simulator.dimensions import DIMENSION_NAMES, DIMENSIONS, FloatArray, recorded
from service.simulator.physics import Healthy


@dataclass(frozen=True)
class Fault:
    """An injected fault: points start..end inclusive of the test part, and its culprits."""

    kind: FaultKind
    start: int
    end: int
    dimensions: tuple[int, ...]
    names: tuple[str, ...]
    magnitude: float


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


def with_faults(
    config: FleetConfig, healthy: Healthy, random: np.random.Generator
) -> tuple[FloatArray, tuple[Fault, ...]]:
    """Strike the test part; its values with the faults, in order of time, and what they were."""
    split = config.train_points
    known = slice(0, split) if split >= config.test_points else slice(split, None)
    pool, future = healthy.at(known), healthy.at(slice(split, None))
    test = future.values.copy()
    faults = []
    for kind, start, count in _schedule(config, random):
        columns = _culprits(kind, pool, random)
        plan = FAULT_PLANS[kind]
        rows = slice(start, start + count)
        scene = Scene(
            *future.at(rows, columns),
            before=future.values[start - 1, columns],
            residual_sd=pool.residual_sd()[columns],
            most=np.array([DIMENSIONS[column].most for column in columns]),
            healthy=pool.at(slice(None), columns),
            magnitude=round(random.uniform(plan.weakest, plan.strongest), 1),
        )
        test[rows, columns] = recorded(EFFECTS[kind](scene, random), columns)
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
        fit &= high - low > 3 * pool.residual_sd()  # what follows the load can break with it
    systems = sorted({DIMENSIONS[column].subsystem for column in np.flatnonzero(fit)})
    system = systems[random.integers(len(systems))]
    able = [i for i in np.flatnonzero(fit).tolist() if DIMENSIONS[i].subsystem == system]
    most = 2 if kind == "broken_correlation" else 3  # its partners must still show the truth
    size = int(random.integers(1, min(most, len(able)) + 1))
    return sorted(random.choice(able, size, replace=False).tolist())
