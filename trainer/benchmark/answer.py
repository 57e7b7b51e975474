"""What a row answers on a suite: bundles through the fold of the service, floors by themselves."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from service.scoring.bundle import Bundle, load_bundle
from service.scoring.fold import Fold, Points
from service.scoring.offline import Scored
from service.scoring.series import FloatArray, Series
from service.scoring.tail import fit_tail, flagged_share, surprisal
from trainer.benchmark.bench import Answer, Row
from trainer.benchmark.cases import Case, Suite
from trainer.benchmark.fleet import score_fleet
from trainer.budget import BUDGETS, false_incidents_over_budget, incidents_per_day, last_rows
from trainer.build import DEFAULT_BUDGET, build_bundle
from trainer.config import preset
from trainer.fit import fit
from trainer.floors import Answers, floors
from trainer.kappa import fit_kappa

COST_LANES, COST_STEPS, COST_ROUNDS = 256, 40, 3  # points of one batch, batches, repetitions


def fit_case(case: Case, row: Row, *, seed: int, period_seconds: float, folder: Path) -> Path:
    """Fit, export and calibrate the bundle of one case, as `gaugewatch-trainer fit` does."""
    if row.config is None:
        raise ValueError(f"row {row.name} has nothing to fit")
    fitted = fit([case.train], row.config.model_copy(update={"seed": seed}))
    return build_bundle(fitted, folder, name=row.name, period_seconds=period_seconds).folder


def answer(
    row: Row,
    suite: Suite,
    *,
    seed: int,
    bundles: Mapping[str, Path],
    on_point: Callable[[int], None],
) -> dict[str, Answer]:
    """What a row says of every case of a suite, by entity."""
    if row.config is None:
        return {case.entity: _floor(row.name, case, seed=seed) for case in suite.cases}
    loaded = {entity: load_bundle(folder) for entity, folder in bundles.items()}
    tests = [case.test for case in suite.cases]
    scored = score_fleet(loaded, tests, on_point=on_point)
    cost = microseconds_per_point(loaded[tests[0].entity], tests[0])
    return {
        case.entity: _answered(loaded[case.test.entity], case, own, microseconds_per_point=cost)
        for case, own in zip(suite.cases, scored, strict=True)
    }


def _answered(
    bundle: Bundle, case: Case, scored: Scored, *, microseconds_per_point: float
) -> Answer:
    manifest = bundle.manifest
    label = np.zeros(len(scored.score), bool) if case.test.label is None else case.test.label
    rates = incidents_per_day(bundle, [case.test], [scored])
    return Answer(
        Answers(
            scored.score,
            scored.contribution.astype(np.float64),
            scored.is_anomaly,
            scored.severity,
        ),
        nominal_share=float(
            flagged_share(
                bundle.calibration.kappa[1],
                budget=manifest.default_budget,
                period_seconds=manifest.period_seconds,
            )
        ),
        false_incidents_over_budget=false_incidents_over_budget(
            scored,
            label,
            budget=manifest.default_budget,
            period_seconds=manifest.period_seconds,
        ),
        incidents_per_day_by_budget=dict(zip(BUDGETS.tolist(), rates.tolist(), strict=True)),
        microseconds_per_point=microseconds_per_point,
    )


def _floor(name: str, case: Case, *, seed: int) -> Answer:
    """A floor with a threshold at the usual budget, from calm rows its fit has not seen.

    Its own fit is on the whole train half; the threshold is from the last part of that half, as
    scored by a fit on what comes before it.
    """
    held_out = round(preset("small").calibration_share * len(case.train.values))
    before = _without_last(case.train, held_out)
    calm = floors(before, last_rows(case.train, held_out), seed=seed + 1)[name].score
    own = floors(case.train, case.test, seed=seed)[name]
    flags, nominal = _decided(own.score, calm, period_seconds=case.period_seconds)
    return Answer(Answers(own.score, own.contribution, flags), nominal_share=nominal)


def _without_last(series: Series, count: int) -> Series:
    """All but the last `count` rows, without labels."""
    stop = len(series.values) - count
    return replace(
        series,
        timestamps_ms=series.timestamps_ms[:stop],
        values=series.values[:stop],
        label=None,
        segments=(),
    )


def _decided(
    score: FloatArray, calm: FloatArray, *, period_seconds: float
) -> tuple[np.ndarray[tuple[int], np.dtype[np.bool_]], float]:
    """Flags by the tail of calm scores, and the share of calm points they were meant for."""
    tail = fit_tail(calm)
    kappa = fit_kappa(calm, budget=DEFAULT_BUDGET, period_seconds=period_seconds)
    nominal = float(
        flagged_share(np.array(kappa), budget=DEFAULT_BUDGET, period_seconds=period_seconds)
    )
    return surprisal(score, tail.knots, tail.constants) > -math.log(nominal), nominal


def microseconds_per_point(bundle: Bundle, series: Series) -> float:
    """CPU time of the fold per point, in batches of `COST_LANES`; the best of some rounds."""
    fold = Fold(bundle)
    index = np.ones(COST_LANES, np.int64)
    rows = fold.centre(series.values[:COST_STEPS], np.ones(len(series.values[:COST_STEPS]), int))
    best = math.inf
    for _ in range(COST_ROUNDS):
        states = fold.fresh(index)
        started = time.process_time()
        for row, timestamp_ms in zip(rows, series.timestamps_ms, strict=False):
            values = np.repeat(row[None], COST_LANES, axis=0)
            times = np.full(COST_LANES, timestamp_ms, np.int64)
            states, _ = fold.step(states, Points(index, times, values))
        best = min(best, time.process_time() - started)
    return best / (len(rows) * COST_LANES) * 1e6
