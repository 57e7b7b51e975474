import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from service.errors import TrainingFailed
from service.scoring.bundle import Bundle, load_bundle
from service.scoring.fold import Fold
from service.scoring.normaliser import LN_2, Normaliser
from service.scoring.offline import score_series
from service.scoring.tail import KNOTS, fit_tail, surprisal
from tests import reference
from tests.builders import ENTITIES, NEED, series_like, stretch_of, values_like
from trainer.calibrate import MIN_POINTS, calibrate, fit_tails
from trainer.kappa import MIN_EXCEEDANCES, exceedances_per_incident, fit_kappa
from trainer.observe import Stretch, observe


@pytest.fixture(scope="module")
def bundle(bundle_folder: Path) -> Bundle:
    return load_bundle(bundle_folder / "tiny")


def stretch(bundle: Bundle, entity: str, *, count: int = 600, seed: int = 7) -> Stretch:
    index = bundle.entity_indices[entity]
    return stretch_of(values_like(entity, count, seed=seed), bundle.calibration.center, index=index)


def test_the_promised_rate_is_kept_on_points_nobody_saw(bundle: Bundle) -> None:
    stretches = [stretch(bundle, entity, count=4000) for entity in ENTITIES]
    calibrated = replace(bundle, calibration=calibrate(bundle, stretches))
    series = [series_like(entity, 6000, seed=11) for entity in ENTITIES]
    for scored in score_series(Fold(calibrated), series):
        p_values = scored.p_value[NEED:]
        for p in (0.3, 0.1, 0.02, 0.005):
            assert (p_values < p).mean() == pytest.approx(p, rel=0.6)


def test_series_side_by_side_are_observed_as_alone(bundle: Bundle) -> None:
    long, short = stretch(bundle, "alpha", count=300), stretch(bundle, "beta", count=250)
    together = observe(bundle, [short, long])
    for one, found in zip((short, long), together, strict=True):
        [alone] = observe(bundle, [one])
        assert alone.errors.tobytes() == found.errors.tobytes()
        assert len(found.errors) == len(one.values) - NEED


def test_one_entity_alone_is_its_own_pool(bundle: Bundle) -> None:
    manifest = bundle.manifest.model_copy(update={"entities": ("alpha",)})
    calibration = calibrate(replace(bundle, manifest=manifest), [stretch(bundle, "alpha")])
    for name in ("seed", "band"):
        pooled, own = getattr(calibration, name)
        assert pooled == pytest.approx(own)
    for name in ("knots", "excess"):  # but it is younger, and adapts faster at first
        pooled, own = getattr(calibration, name)
        assert pooled == pytest.approx(own, rel=0.2, abs=0.05)


def test_an_unknown_name_is_judged_as_row_0_promises(bundle: Bundle) -> None:
    series = [replace(series_like(e, 600, seed=11), entity=f"new-{e}") for e in ENTITIES]
    scored = score_series(Fold(bundle), series)
    p_values = np.concatenate([one.p_value[NEED:] for one in scored])
    assert (p_values < 0.1).mean() == pytest.approx(0.1, rel=0.4)


def test_imputed_values_are_not_calibrated_on(bundle: Bundle) -> None:
    values = values_like("alpha", 600, seed=7)
    values[100:500, 2] = np.nan
    values[:, 3] = np.nan
    gap = stretch_of(values, bundle.calibration.center, index=1)
    beta = stretch(bundle, "beta")
    found = calibrate(bundle, [gap, beta])
    usual = calibrate(bundle, [stretch(bundle, "alpha"), beta])
    assert found.seed[1, 0, 2] == pytest.approx(usual.seed[1, 0, 2], rel=0.25)
    assert found.band[1, 2] == pytest.approx(usual.band[1, 2], rel=0.25)
    assert np.isfinite(found.seed).all()
    [scored] = score_series(
        Fold(replace(bundle, calibration=found)),
        [replace(series_like("alpha", 600), values=values)],
    )
    assert (scored.p_value[NEED:] < 0.1).mean() == pytest.approx(0.1, rel=0.4)


def test_too_few_held_out_points_are_said(bundle: Bundle) -> None:
    with pytest.raises(TrainingFailed, match=f"{MIN_POINTS} held-out points"):
        calibrate(bundle, [stretch(bundle, "alpha", count=NEED + MIN_POINTS - 1)])


def test_the_fewest_points_that_are_taken_are_enough(bundle: Bundle) -> None:
    short = [stretch(bundle, entity, count=NEED + MIN_POINTS) for entity in ENTITIES]
    found = calibrate(bundle, short)
    assert list(found.unlike(bundle.manifest)) == []
    scored = score_series(
        Fold(replace(bundle, calibration=found)),
        [series_like(entity, 400, seed=11) for entity in ENTITIES],
    )
    for one in scored:
        assert np.isfinite(one.score[NEED:]).all()
        assert (one.p_value[NEED:] < 0.1).mean() < 0.4


def test_the_tail_of_the_score_is_that_of_the_weighted_combination(bundle: Bundle) -> None:
    aggregates = np.random.default_rng(4).gamma(2.0, size=(900, 3))
    knots, tail, kappa = fit_tails(aggregates, bundle.manifest)
    assert (knots.shape, tail.shape) == ((4, KNOTS), (4, 4))
    levels = [
        [reference.surprisal(a, own, end) for a, own, end in zip(row, knots, tail, strict=False)]
        for row in aggregates
    ]
    deciding = [v for v, view in enumerate(bundle.manifest.views) if view.role != "severity"]
    weights = [bundle.manifest.views[v].weight for v in deciding]
    alarm = [reference.power_mean([row[v] for v in deciding], weights) for row in levels]
    expected = fit_tail(np.array(alarm))
    assert tail[-1] == pytest.approx(expected.constants, rel=1e-4)
    assert knots[-1] == pytest.approx(expected.knots, rel=1e-6, abs=1e-9)
    assert kappa >= 1.0


def test_one_nat_of_a_dimension_is_at_most_one_of_a_view(bundle: Bundle) -> None:
    """Calm rows that hardly differ, as short training has them, and then one dimension speaks."""
    manifest = bundle.manifest
    normaliser = Normaliser(manifest)
    calm = np.float32(LN_2) + np.float32(1e-5) * np.random.default_rng(5).random((90, 4))
    nats = np.repeat(calm[:, None].astype(np.float32), len(manifest.views), axis=1)
    knots, tail, _ = fit_tails(normaliser.aggregates(nats), manifest)
    nats[0, :, 2] = 12.0
    [loud, quiet] = (
        surprisal(row, knots[:-1], tail[:-1]) for row in normaliser.aggregates(nats[:2])
    )
    unseen = math.log(len(calm)) + 1e-6
    assert (loud > quiet).all()
    assert (loud <= 12.0 + unseen).all()


def test_exceedances_in_runs_are_counted_per_incident() -> None:
    alone = np.random.default_rng(1).permutation(np.arange(5000.0))
    assert exceedances_per_incident(alone, 0.01) == pytest.approx(1.0, abs=0.15)
    runs = np.repeat(np.random.default_rng(1).permutation(np.arange(500.0)), 10)
    assert exceedances_per_incident(runs, 0.01) == pytest.approx(10.0, rel=0.1)


def test_kappa_is_counted_where_it_is_used() -> None:
    """Runs of ten, each with one peak above all that are not: rare thresholds see only peaks."""
    generator = np.random.default_rng(1)
    runs = np.repeat(generator.uniform(1.0, 2.0, size=2000), 10)
    runs[::200] += 1.0  # 100 of 20,000 points
    assert exceedances_per_incident(runs, 0.01) > 1.5
    assert fit_kappa(runs, budget=5.0, period_seconds=60.0) == pytest.approx(1.0, abs=0.1)
    few = runs[: 20 * MIN_EXCEEDANCES]
    assert fit_kappa(few, budget=5.0, period_seconds=60.0) == exceedances_per_incident(few, 0.05)


def test_incidents_are_counted_as_the_incident_stage_opens_them() -> None:
    generator = np.random.default_rng(3)
    for share in (0.001, 0.01, 0.1, 0.4):
        alarm = np.convolve(generator.normal(size=3000), np.ones(3), mode="same")
        is_flagged = alarm > np.quantile(alarm, 1.0 - share)
        opened = reference.incidents_opened(is_flagged.tolist())
        expected = max(is_flagged.sum() / opened, 1.0)
        assert exceedances_per_incident(alarm, share) == pytest.approx(expected)
