from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from service.scoring.calibration import usual_cap
from service.scoring.series import Series
from tests.trainer.small import series, tiny
from trainer.build import WARM_UP_WINDOWS, build_bundle, held_out, never_moved
from trainer.fit import Fitted, fit
from trainer.recipe import Source, configured, of_bundle
from trainer.run import config_of


def untrained(*given: Series) -> Fitted:
    return fit(list(given), tiny(epochs=0))


def test_a_dimension_that_first_moves_after_the_fit_is_constant() -> None:
    values = series().values.copy()
    values[:, 2] = 1.0
    values[-1, 2] = 9.0
    values[:, 4] = np.nan
    found = never_moved(untrained(replace(series(), values=values), series("beta")))
    assert found[1].tolist() == [False, False, True, False, True, False]
    assert not found[2].any()
    assert not found[0].any()


def test_calibration_starts_from_a_warm_state_however_long_the_memory() -> None:
    fitted = untrained(series())
    windows = WARM_UP_WINDOWS * fitted.config.window_length
    for memory_horizon in (windows - 1, windows + 100):
        stretch = held_out(fitted, 1, memory_horizon=memory_horizon)
        assert stretch.warm_up == max(windows, memory_horizon)
        part = fitted.splits[0].calibration
        assert len(stretch.values) == stretch.warm_up + part.stop - part.start


def test_calibration_knows_which_values_were_imputed() -> None:
    values = series().values.copy()
    values[-50:, 1] = np.nan
    stretch = held_out(untrained(replace(series(), values=values)), 1, memory_horizon=1)
    assert np.isfinite(stretch.values).all()
    assert np.flatnonzero(stretch.is_missing.any(axis=0)).tolist() == [1]
    assert stretch.is_missing[:, 1].sum() == 50


@pytest.mark.slow
def test_a_manifest_tells_of_an_epoch_that_counts_itself_as_it_was_chosen(tmp_path: Path) -> None:
    config = tiny("lstm_vae", epochs=0, epoch_steps=0)
    fitted = fit([series()], config)
    bundle = build_bundle(fitted, tmp_path, name="counted", period_seconds=60.0)
    assert config_of(bundle) == config
    assert configured(Source({}), like=of_bundle(bundle)) == config
    part = fitted.splits[0].fit
    updates = -(-(part.stop - part.start - config.window_length + 1) // 32)
    assert bundle.manifest.training["counted_epoch_steps"] == updates > 1


@pytest.mark.slow
def test_each_entity_has_the_caps_of_its_own_switches(tmp_path: Path) -> None:
    values = series().values.copy()
    values[:, 2:] = 0.0
    values[::100, 3] = 1.0
    fitted = fit([replace(series(), values=values), series("beta")], tiny("linear"))
    found = build_bundle(fitted, tmp_path, name="switches", period_seconds=60.0).calibration
    usual = usual_cap(found.is_constant)
    assert found.cap[[0, 2]].tobytes() == usual[[0, 2]].tobytes()  # all together, and beta
    assert found.cap[1, :2].tolist() == usual[1, :2].tolist()
    never, rare = np.log(1201 / 0.5), np.log(1201 / 12.5)
    assert found.cap[1, 2:] == pytest.approx([never, rare, never, never])
