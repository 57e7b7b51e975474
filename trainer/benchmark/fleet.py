"""Bundles of one kind side by side: every entity keeps its own graph, and one fold advances all.

Scoring point after point costs the same overhead for one entity as for many. A suite of entities
with a bundle each is therefore scored as one fleet, wherever their views agree; that changes no
number, for no entity sees another (a test holds it to the bundles scored alone).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields

import numpy as np
import numpy.typing as npt

from service.scoring.bundle import Bundle, Calibration
from service.scoring.detector import Detection, Detector, Float32Array
from service.scoring.fold import Fold
from service.scoring.offline import Scored, score_series
from service.scoring.series import Series


class Detectors:
    """One detector per entity, called as one; entity i + 1 of the fleet is that of bundle i."""

    def __init__(self, bundles: Sequence[Bundle]) -> None:
        self.state = bundles[0].manifest.state
        self._detectors = [Detector(bundle) for bundle in bundles]

    def run(
        self, state: npt.NDArray[np.void], values: Float32Array, entity_index: npt.NDArray[np.int64]
    ) -> Detection:
        """Score `values` (batch, dimension), each row by the graph of its entity."""
        order = np.argsort(entity_index, kind="stable")
        members, starts = np.unique(entity_index[order], return_index=True)
        places = np.split(order, starts[1:])
        parts = [
            self._detectors[member - 1].run(state[at], values[at], np.ones(len(at), np.int64))
            for member, at in zip(members, places, strict=True)
        ]
        back = np.argsort(order, kind="stable")
        return Detection(
            error=np.concatenate([part.error for part in parts])[back],
            expected=np.concatenate([part.expected for part in parts])[back],
            scale=np.concatenate([part.scale for part in parts])[back],
            state={
                tensor.name: np.concatenate([part.state[tensor.name] for part in parts])[back]
                for tensor in self.state
            },
        )


def fleet_of(bundles: Sequence[Bundle], *, budget: float | None = None) -> Fold:
    """One fold over bundles of one kind and one entity each."""
    first = bundles[0]
    names = tuple(bundle.manifest.entities[0] for bundle in bundles)
    manifest = first.manifest.model_copy(update={"entities": names})
    tables = {
        field.name: np.concatenate(
            [getattr(first.calibration, field.name)[:1]]
            + [getattr(bundle.calibration, field.name)[1:] for bundle in bundles]
        )
        for field in fields(Calibration)
    }
    merged = Bundle(first.folder, manifest, Calibration(**tables))
    return Fold(merged, budget=budget, detector=Detectors(bundles))


def score_fleet(
    bundles: Mapping[str, Bundle],
    series: Sequence[Series],
    *,
    on_point: Callable[[int], None] | None = None,
) -> list[Scored]:
    """Score each series by the bundle of its entity, those of one kind side by side."""
    kinds: dict[object, list[int]] = {}
    for number, one in enumerate(series):
        kinds.setdefault(_kind(bundles[one.entity]), []).append(number)
    scored: dict[int, Scored] = {}
    for numbers in kinds.values():
        names = sorted({series[number].entity for number in numbers})
        fold = fleet_of([bundles[name] for name in names])
        answers = score_series(fold, [series[number] for number in numbers], on_point=on_point)
        scored |= dict(zip(numbers, answers, strict=True))
    return [scored[number] for number in range(len(series))]


def _kind(bundle: Bundle) -> object:
    """What bundles of one fleet have in common."""
    manifest = bundle.manifest
    shared = (manifest.dimensions, manifest.views, manifest.members, manifest.state)
    times = (manifest.memory_horizon, manifest.period_seconds)
    return (*shared, *times, manifest.default_budget)
