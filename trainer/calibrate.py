"""Calibration: from held-out training points to the constants that turn errors into p-values.

Everything is fitted in the mode that serves: the exported step graph, one point after the other,
through the normaliser of the service. Every stretch is observed twice: as the entity it is, and as
an entity with an unknown name, which is what row 0 is fitted on.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from service.errors import TrainingFailed
from service.scoring.bundle import Bundle, Calibration, Manifest
from service.scoring.combine import combined
from service.scoring.normaliser import LN_2, Normaliser, one_nat, starting_age
from service.scoring.tail import fit_tail, surprisal
from trainer.chunks import chunks
from trainer.kappa import fit_kappa
from trainer.observe import Float32Array, FloatArray, Observed, Stretch, observe

MIN_POINTS = 64
EXCESS_QUANTILE = BAND_QUANTILE = 0.99
PART, COLUMNS = 8_192, 8  # rows, at least so many dimensions are looked at together


@dataclass(frozen=True)
class Row:
    """Calibration of one entity."""

    seed: FloatArray  # (view, dimension, 2)
    excess: FloatArray  # (view,)
    band: FloatArray  # (dimension,)
    knots: FloatArray  # (view + 1, K)
    tail: FloatArray  # (view + 1, 4)
    kappa: float


def calibrate(
    draft: Bundle, stretches: Sequence[Stretch], *, on_point: Callable[[int], None] | None = None
) -> Calibration:
    """Fit every constant of `draft` but its centres, constant dimensions and caps."""
    rows = fit_rows(draft, stretches, on_point=on_point)
    return _table(draft.calibration, [rows[index] for index in sorted(rows)])


def fit_rows(
    draft: Bundle, stretches: Sequence[Stretch], *, on_point: Callable[[int], None] | None = None
) -> dict[int, Row]:
    """The row of every entity with a stretch, and row 0, fitted to all stretches as unknown."""
    names = ("an unknown entity", *draft.manifest.entities)
    points = {names[one.entity_index]: len(one.values) - one.warm_up for one in stretches}
    if short := [f"{name} has {count}" for name, count in points.items() if count < MIN_POINTS]:
        raise TrainingFailed(
            f"calibration needs {MIN_POINTS} held-out points per entity; "
            f"{', '.join(short)}: train on longer series"
        )
    judge = _Judge(draft.manifest, draft.calibration)
    rows = _known(draft, judge, stretches, on_point=on_point)
    unknown = [stretch.as_unknown(draft.calibration.center) for stretch in stretches]
    return {0: judge.row(observe(draft, unknown, on_point=on_point), entity_index=0), **rows}


def _known(
    draft: Bundle,
    judge: "_Judge",
    stretches: Sequence[Stretch],
    *,
    on_point: Callable[[int], None] | None,
) -> dict[int, Row]:
    """The row of every entity; what was observed of them is forgotten before the pooled row."""
    known = [stretch for stretch in stretches if stretch.entity_index]
    return {
        stretch.entity_index: judge.row([one], entity_index=stretch.entity_index)
        for one, stretch in zip(observe(draft, known, on_point=on_point), known, strict=True)
    }


@dataclass(frozen=True)
class _Said:
    """What the surprisals of a stretch come to."""

    aggregates: FloatArray  # (time, view)
    above: Float32Array  # (time, view) nats above ln 2, of all dimensions


class _Judge:
    """The normaliser and the tails over stretches, as the fold would run them."""

    def __init__(self, manifest: Manifest, calibration: Calibration) -> None:
        self._normaliser = Normaliser(manifest)
        self._manifest = manifest
        self._cap = calibration.cap.astype(np.float32)

    def row(self, observed: Sequence[Observed], *, entity_index: int) -> Row:
        """Fit one row to all that it judges; what is not a tail is the median over stretches."""
        seed = np.median([_seed(one) for one in observed], axis=0)
        said = [self._said(one, seed, entity_index=entity_index) for one in observed]
        aggregates = np.concatenate([one.aggregates for one in said])
        knots, tail, kappa = fit_tails(aggregates, self._manifest)
        return Row(
            seed=seed,
            excess=np.median([_excess(one.above) for one in said], axis=0),
            band=np.median([_band(one) for one in observed], axis=0),
            knots=knots,
            tail=tail,
            kappa=kappa,
        )

    def _said(self, observed: Observed, seed: FloatArray, *, entity_index: int) -> _Said:
        parts = [
            (self._normaliser.aggregates(nats), np.maximum(nats - LN_2, 0.0).sum(axis=2))
            for nats in self._nats(observed, seed, entity_index=entity_index)
        ]
        aggregates, above = zip(*parts, strict=True)
        return _Said(np.concatenate(aggregates), np.concatenate(above))

    def _nats(
        self, observed: Observed, seed: FloatArray, *, entity_index: int
    ) -> Iterator[Float32Array]:
        """Surprisal (time, view, dimension), learning from point to point; in parts."""
        state = np.moveaxis(seed, -1, 0).astype(np.float32)[None]
        age = starting_age(np.array([entity_index]))
        cap = self._cap[[entity_index]]
        for part in chunks(len(observed.errors), size=PART):
            nats = np.empty_like(observed.errors[part])
            for row, error in enumerate(observed.errors[part]):
                is_missing = observed.is_missing[[part.start + row]]
                deviations = self._normaliser.deviations(state, error[None])
                surprisals = self._normaliser.surprisal(deviations, cap=cap, is_missing=is_missing)
                nats[row] = surprisals[0]
                age = age + 1
                state = self._normaliser.learn(state, deviations, age=age, is_missing=is_missing)
            yield nats


def _seed(observed: Observed) -> FloatArray:
    """Mean and deviation (view, dimension, 2) of the errors."""
    has_value, (_, views, dimensions) = observed.has_value, observed.errors.shape
    seed = np.empty((views, dimensions, 2))
    edges = np.linspace(0, dimensions, max(1, dimensions // COLUMNS) + 1).astype(int).tolist()
    columns = [slice(*edge) for edge in pairwise(edges)]
    for view in range(views):  # in float64 all of them would fill the memory
        for part in columns:  # never a lone one, whose sum would be taken in another order
            errors, where = observed.errors[:, view, part].astype(np.float64), has_value[:, part]
            seed[view, part, 0] = errors.mean(axis=0, where=where)
            seed[view, part, 1] = errors.std(axis=0, where=where)
    return seed


def _excess(above: Float32Array) -> FloatArray:
    return np.asarray(np.maximum(np.quantile(above, EXCESS_QUANTILE, axis=0), LN_2))


def _band(observed: Observed) -> FloatArray:
    columns = zip(observed.residuals.T, observed.has_value.T, strict=True)
    return np.array([np.quantile(own[where], BAND_QUANTILE) for own, where in columns], np.float64)


def fit_tails(aggregates: FloatArray, manifest: Manifest) -> tuple[FloatArray, FloatArray, float]:
    """Tails of each view and of the alarm score, and the exceedances per incident.

    `aggregates` (time, view); returns knots (view + 1, K), tail (view + 1, 4), kappa. One nat of
    one dimension is never more than one nat of a view.
    """
    dimensions = len(manifest.dimensions)
    tails = [
        fit_tail(column, least_scale=one_nat(view, dimensions))
        for column, view in zip(aggregates.T, manifest.views, strict=True)
    ]
    levels = np.stack(
        [
            surprisal(column, tail.knots[None], tail.constants[None])
            for column, tail in zip(aggregates.T, tails, strict=True)
        ],
        axis=1,
    )
    scoring = [v for v, view in enumerate(manifest.views) if view.role != "severity"]
    weights = np.array([manifest.views[v].weight for v in scoring])
    alarm = combined(levels[:, scoring], weights)
    tails.append(fit_tail(alarm))
    knots = np.stack([tail.knots for tail in tails])
    kappa = fit_kappa(alarm, budget=manifest.default_budget, period_seconds=manifest.period_seconds)
    return knots, np.stack([tail.constants for tail in tails]), kappa


def _table(draft: Calibration, rows: Sequence[Row]) -> Calibration:
    return Calibration(
        center=draft.center,
        seed=np.stack([row.seed for row in rows]),
        knots=np.stack([row.knots for row in rows]),
        tail=np.stack([row.tail for row in rows]),
        excess=np.stack([row.excess for row in rows]),
        band=np.stack([row.band for row in rows]),
        kappa=np.array([row.kappa for row in rows]),
        is_constant=draft.is_constant,
        cap=draft.cap,
    )
