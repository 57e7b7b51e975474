"""A machine of the tuning set, seen through every view of the default bundle."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from service.scoring.bundle import Bundle, load_bundle
from service.scoring.calibration import CAP, CONSTANT_CAP
from service.scoring.combine import combined
from service.scoring.manifest import View
from service.scoring.normaliser import (
    Normaliser,
    aggregate,
    normal_surprisal,
    starting_age,
)
from service.scoring.series import Series, read_series
from service.scoring.tail import fit_tail, surprisal
from trainer.build import build_bundle
from trainer.config import preset
from trainer.fit import fit
from trainer.observe import FloatArray, Observed, Stretch, observe

Combine = Callable[[FloatArray, FloatArray], FloatArray]  # (time, view), (view,) -> (time,)


@dataclass(frozen=True)
class Machine:
    """Surprisal (time, view, dimension) on the calibration stretch and on the test half."""

    views: tuple[View, ...]
    calibration: FloatArray
    test: FloatArray
    series: Series

    def of(self, role: str) -> list[int]:
        """The views that decide ("score") or rank ("severity")."""
        return [v for v, view in enumerate(self.views) if view.role in (role, "both")]

    def combined(
        self, role: str, *, cap: float = CAP, combine: Combine = combined
    ) -> tuple[FloatArray, FloatArray]:
        """-ln p of these views as one number per point, on both stretches."""
        chosen = self.of(role)
        weights = np.array([self.views[v].weight for v in chosen])
        held_out, later = zip(*(self.level(v, cap) for v in chosen), strict=True)
        return (
            combine(np.stack(held_out, axis=1), weights),
            combine(np.stack(later, axis=1), weights),
        )

    def level(self, v: int, cap: float = CAP) -> tuple[FloatArray, FloatArray]:
        """-ln p of one view, on both stretches."""
        held_out, later = (
            aggregate(np.minimum(nats[:, v], np.float32(cap)), self.views[v])
            for nats in (self.calibration, self.test)
        )
        tail = fit_tail(held_out)
        return (
            surprisal(held_out, tail.knots[None], tail.constants[None]),
            surprisal(later, tail.knots[None], tail.constants[None]),
        )


def observed(path: Path, bundles: Path, *, is_fresh: bool) -> Machine:
    """Of the bundle kept in `bundles`; it is fitted where there is none, or `is_fresh` asks."""
    train, test = read_series(path, part="train"), read_series(path)
    if is_fresh or not (bundles / path.stem / "current").is_file():
        build_bundle(fit([train], preset("small")), bundles, name=path.stem, period_seconds=60.0)
    bundle = load_bundle(bundles / path.stem)
    center, warm_up = bundle.calibration.center[1], bundle.manifest.memory_horizon
    first = len(train.values) - round(0.3 * len(train.values)) - warm_up
    stretches = [
        Stretch(1, warm, (values - center).astype(np.float32), np.isnan(values))
        for values, warm in ((train.values[first:], warm_up), (test.values, 0))
    ]
    calibration, later = (_surprisal(bundle, one) for one in observe(bundle, stretches))
    return Machine(bundle.manifest.views, calibration, later, test)


def _surprisal(bundle: Bundle, observed: Observed) -> FloatArray:
    """Without the cap, but for the dimensions that never moved in training."""
    normaliser = Normaliser(bundle.manifest)
    state = np.moveaxis(bundle.calibration.seed[[1]], -1, 1).astype(np.float32)
    age = starting_age(np.array([1]))
    nats = []
    for error, is_missing in zip(observed.errors, observed.is_missing, strict=True):
        deviations = normaliser.deviations(state, error[None])
        nats.append(normal_surprisal(deviations)[0])
        state = normaliser.learn(state, deviations, age=age, is_missing=is_missing[None])
    constant = np.where(bundle.calibration.is_constant[1], CONSTANT_CAP, np.inf)
    return np.asarray(np.minimum(np.stack(nats), constant), np.float32)
