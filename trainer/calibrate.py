"""Calibration: from held-out training points to the constants that turn errors into p-values.

Everything is fitted in the mode that serves: the exported step graph, one point after the other,
through the normaliser of the service.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from service.errors import TrainingFailed
from service.scoring.bundle import Bundle, Calibration, Manifest, View
from service.scoring.detector import Detector
from service.scoring.incident import Evidence, Transition, advance, incident_dtype
from service.scoring.normaliser import (
    LN_2,
    Normaliser,
    aggregate,
    normal_surprisal,
    surprisal_cap,
)
from service.scoring.offline import lockstep
from service.scoring.tail import fit_tail, surprisal

MIN_POINTS = 200
FAST_SHARE, SLOW_SHARE = 1 / 8, 1 / 2  # half-lives in training lengths
MIN_HALF_LIFE_POINTS = 64.0
EXCESS_QUANTILE = BAND_QUANTILE = 0.99
KAPPA_P = 0.01  # where exceedances per incident are counted: rare, yet seen often enough

FloatArray = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Stretch:
    """Held-out points of one entity, with the points before them that warm the state."""

    entity_index: int
    warm_up: int  # leading rows that only warm the state
    values: Float32Array  # (time, dimension) minus the centre, imputed


@dataclass(frozen=True)
class Observed:
    """What the graph said of one stretch, its warm-up left out."""

    errors: Float32Array  # (time, view, dimension)
    residuals: Float32Array  # (time, dimension) |value - expected|


def default_views(members: Sequence[str], *, dimensions: int, train_points: int) -> list[View]:
    """One view per member, chosen on the tuning set (docs/detection.md).

    Largest absolute errors against the last eighth of a training length decide; the network, and
    PCA's squared errors against half a training length, rank.
    """
    top = max(1, round(dimensions / 8))
    fast = {"power": "abs", "aggregation": "top_mean", "top": top, "floor": 2e-2, "role": "both"}
    special = {
        "leave_one_out": {"floor": 5e-3, "role": "score"},
        "pca": {"power": "square", "aggregation": "sum_sqrt", "floor": 1e-3, "role": "severity"},
    }
    views = []
    for member in members:
        share = SLOW_SHARE if member == "pca" else FAST_SHARE
        half_life = max(share * train_points, MIN_HALF_LIFE_POINTS)
        form = {**fast, **special.get(member, {}), "half_life_points": half_life}
        views.append(View.model_validate({"member": member, **form}))
    return views


def calibrate(
    draft: Bundle, stretches: Sequence[Stretch], *, on_point: Callable[[int], None] | None = None
) -> Calibration:
    """Fit every constant of `draft` but its centre and its constant dimensions."""
    if short := [s.entity_index for s in stretches if len(s.values) - s.warm_up < MIN_POINTS]:
        raise TrainingFailed(
            f"calibration needs {MIN_POINTS} held-out points per entity; "
            f"entities {short} have fewer: train on longer series"
        )
    observed = observe(draft, stretches, on_point=on_point)
    judge = _Judge(draft.manifest, draft.calibration)
    rows = [
        judge.row(one, entity_index=stretch.entity_index)
        for one, stretch in zip(observed, stretches, strict=True)
    ]
    return _table(draft.calibration, [_pooled(rows, draft.manifest.views), *rows])


def observe(
    draft: Bundle, stretches: Sequence[Stretch], *, on_point: Callable[[int], None] | None = None
) -> list[Observed]:
    """Run the step graph over all stretches side by side."""
    detector, normaliser = Detector(draft), Normaliser(draft.manifest)
    dtype = np.dtype([(t.name, "<f4", t.shape) for t in draft.manifest.state])
    states = np.zeros(len(stretches), dtype)
    index = np.array([stretch.entity_index for stretch in stretches], np.int64)
    errors: list[list[Float32Array]] = [[] for _ in stretches]
    residuals: list[list[Float32Array]] = [[] for _ in stretches]
    for time, members in lockstep([len(stretch.values) for stretch in stretches]):
        values = np.stack([stretches[m].values[time] for m in members])
        detection = detector.run(states[members], values, index[members])
        for name, tensor in detection.state.items():
            states[name][members] = tensor
        views = normaliser.view_errors(detection.error)
        for position, member in enumerate(members):
            if time >= stretches[member].warm_up:
                errors[member].append(views[position])
                residuals[member].append(np.abs(values[position] - detection.expected[position]))
        if on_point is not None:
            on_point(len(members))
    return [Observed(np.stack(e), np.stack(r)) for e, r in zip(errors, residuals, strict=True)]


@dataclass(frozen=True)
class _Row:
    """Calibration of one entity, with the aggregates the pooled row is fitted on."""

    seed: FloatArray  # (view, dimension, 2)
    aggregates: FloatArray  # (time, view)
    excess: FloatArray  # (view,)
    band: FloatArray  # (dimension,)
    knots: FloatArray  # (view + 1, K)
    tail: FloatArray  # (view + 1, 4)
    kappa: float


class _Judge:
    """The normaliser and the tails over a stretch, as the fold would run them."""

    def __init__(self, manifest: Manifest, calibration: Calibration) -> None:
        self._normaliser = Normaliser(manifest)
        self._views = manifest.views
        self._is_constant = calibration.is_constant

    def row(self, observed: Observed, *, entity_index: int) -> _Row:
        """Fit one entity."""
        seed = _seed(observed)
        cap = surprisal_cap(self._is_constant[entity_index])
        nats = np.minimum(self._nats(observed.errors, seed), cap)  # (time, view, dimension)
        aggregates = np.stack(
            [aggregate(nats[:, v], view) for v, view in enumerate(self._views)], axis=1
        )
        excess = np.maximum(nats - LN_2, 0.0).sum(axis=2)  # (time, view)
        knots, tail, kappa = fit_tails(aggregates, self._views)
        return _Row(
            seed=seed,
            aggregates=aggregates,
            excess=np.maximum(np.quantile(excess, EXCESS_QUANTILE, axis=0), LN_2),
            band=np.quantile(observed.residuals, BAND_QUANTILE, axis=0),
            knots=knots,
            tail=tail,
            kappa=kappa,
        )

    def _nats(self, errors: Float32Array, seed: FloatArray) -> Float32Array:
        state = seed.astype(np.float32)[None]
        nothing = np.zeros((1, errors.shape[2]), bool)
        age, closed = np.full(1, 1 << 30), np.zeros(1, bool)
        nats = np.empty_like(errors)
        for time, error in enumerate(errors):
            deviations = self._normaliser.deviations(state, error[None])
            nats[time] = normal_surprisal(deviations)[0]
            state = self._normaliser.learn(
                state, deviations, age=age, is_open=closed, is_missing=nothing
            )
        return nats


def fit_tails(
    aggregates: FloatArray, views: Sequence[View]
) -> tuple[FloatArray, FloatArray, float]:
    """Tails of each view and of the alarm score, and the exceedances per incident.

    `aggregates` (time, view) of one entity; returns knots (view + 1, K), tail (view + 1, 4), kappa.
    """
    tails = [fit_tail(column) for column in aggregates.T]
    levels = np.stack(
        [
            surprisal(column, tail.knots[None], tail.constants[None])
            for column, tail in zip(aggregates.T, tails, strict=True)
        ],
        axis=1,
    )
    scoring = [v for v, view in enumerate(views) if view.role != "severity"]
    alarm = np.ascontiguousarray(levels[:, scoring]).mean(axis=1)
    tails.append(fit_tail(alarm))
    knots = np.stack([tail.knots for tail in tails])
    return knots, np.stack([tail.constants for tail in tails]), exceedances_per_incident(alarm)


def exceedances_per_incident(alarm: FloatArray) -> float:
    """Points beyond the .99 quantile per incident they open, through the incident stage itself."""
    is_flagged = alarm > np.quantile(alarm, 1.0 - KAPPA_P)
    incident = np.zeros(1, incident_dtype(1))
    opened = 0
    for time, flag in enumerate(is_flagged):
        evidence = Evidence(
            timestamps_ms=np.array([time]),
            is_flagged=np.array([flag]),
            score=np.full(1, np.nan),
            severity=np.full(1, np.nan),
            contributions=np.zeros((1, 1), np.float32),
        )
        opened += int(advance(incident, evidence, max_points=np.inf)[0] == Transition.OPENED)
    return max(float(is_flagged.sum()) / max(opened, 1), 1.0)


def _seed(observed: Observed) -> FloatArray:
    errors = observed.errors.astype(np.float64)
    return np.stack([errors.mean(axis=0), errors.std(axis=0)], axis=-1)


def _pooled(rows: Sequence[_Row], views: Sequence[View]) -> _Row:
    """Row 0, for entities that were never seen in training: all entities as one."""
    aggregates = np.concatenate([row.aggregates for row in rows])
    knots, tail, kappa = fit_tails(aggregates, views)
    return _Row(
        seed=np.median([row.seed for row in rows], axis=0),
        aggregates=aggregates,
        excess=np.median([row.excess for row in rows], axis=0),
        band=np.median([row.band for row in rows], axis=0),
        knots=knots,
        tail=tail,
        kappa=kappa,
    )


def _table(draft: Calibration, rows: Sequence[_Row]) -> Calibration:
    return Calibration(
        center=draft.center,
        seed=np.stack([row.seed for row in rows]),
        knots=np.stack([row.knots for row in rows]),
        tail=np.stack([row.tail for row in rows]),
        excess=np.stack([row.excess for row in rows]),
        band=np.stack([row.band for row in rows]),
        kappa=np.array([row.kappa for row in rows]),
        is_constant=draft.is_constant,
    )
