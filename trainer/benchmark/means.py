"""Means over entities and seeds, and differences between two rows; in that order of averaging.

Every entity counts once. Cases that share an entity (faults put into one machine) share its data
and its fit, so they are averaged first; so are the seeds. Intervals are over entities.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from statistics import fmean, median
from typing import TypeVar

import numpy as np

from trainer.benchmark.results import EntityResult, Frozen, RunResult
from trainer.benchmark.statistics import bootstrap, paired, spread

Values = Mapping[str, Mapping[int, float]]  # entity -> seed -> value
Choice = Callable[[str, EntityResult], bool]  # of cases
Key = TypeVar("Key", str, float)  # a measure, or a budget


class Mean(Frozen):
    """Of one measure over entities."""

    mean: float
    median: float
    deviation: float | None  # of the means of the seeds
    low: float | None  # of the interval over entities
    high: float | None
    entities: int


class Difference(Frozen):
    """To another row, over the entities that both answered."""

    mean: float
    low: float | None
    high: float | None

    @property
    def is_sure(self) -> bool:
        """Whether the interval leaves zero out."""
        return self.low is not None and self.high is not None and self.low * self.high > 0


def values_of(runs: Iterable[RunResult], is_chosen: Choice) -> dict[str, Values]:
    """Measure -> entity -> seed -> mean over its chosen cases."""
    return _collected(runs, is_chosen, lambda result: result.measures)


def rates_of(runs: Iterable[RunResult], is_chosen: Choice) -> dict[float, Values]:
    """Budget -> entity -> seed -> false incidents per day."""
    return _collected(runs, is_chosen, lambda result: result.incidents_per_day)


def _collected(
    runs: Iterable[RunResult],
    is_chosen: Choice,
    numbers_of: Callable[[EntityResult], Mapping[Key, float]],
) -> dict[Key, Values]:
    found: dict[tuple[Key, str, int], list[float]] = defaultdict(list)
    for run in runs:
        for name, result in run.entities.items():
            if is_chosen(name, result):
                for key, value in numbers_of(result).items():
                    found[key, result.fitted_as, run.seed].append(value)
    values: dict[Key, dict[str, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    for (key, entity, seed), cases in found.items():
        values[key][entity][seed] = fmean(cases)
    return {key: dict(entities) for key, entities in values.items()}


def means(values: Mapping[Key, Values], *, has_interval: bool = True) -> dict[Key, Mean]:
    """The mean of every measure, or at every budget."""
    return {key: _mean(own, has_interval=has_interval) for key, own in values.items()}


def _mean(values: Values, *, has_interval: bool) -> Mean:
    averaged = by_entity(values)
    interval = bootstrap(list(averaged.values())) if has_interval else None
    numbers = sorted({seed for seeds in values.values() for seed in seeds})
    by_seed = [fmean(s[number] for s in values.values() if number in s) for number in numbers]
    _, deviation = spread(by_seed)
    return Mean(
        mean=fmean(averaged.values()),
        median=median(averaged.values()),
        deviation=_known(deviation),
        low=_known(interval.low) if interval else None,
        high=_known(interval.high) if interval else None,
        entities=len(values),
    )


def differences(own: Mapping[str, Values], others: Mapping[str, Values]) -> dict[str, Difference]:
    """What `own` has more than `others`, by measure."""
    found = {}
    for measure in own.keys() & others.keys():
        mine, theirs = by_entity(own[measure]), by_entity(others[measure])
        if common := sorted(mine.keys() & theirs.keys()):
            interval = paired([mine[one] for one in common], [theirs[one] for one in common])
            low, high = _known(interval.low), _known(interval.high)
            found[measure] = Difference(mean=interval.mean, low=low, high=high)
    return {measure: found[measure] for measure in own if measure in found}


def by_entity(values: Values) -> dict[str, float]:
    """Entity -> mean over its seeds."""
    return {entity: fmean(seeds.values()) for entity, seeds in values.items()}


def _known(value: float) -> float | None:
    return value if np.isfinite(value) else None
