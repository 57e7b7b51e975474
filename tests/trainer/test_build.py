from dataclasses import replace

import numpy as np

from service.scoring.series import Series
from tests.trainer.small import series, tiny
from trainer.build import WARM_UP_WINDOWS, held_out, never_moved
from trainer.fit import Fitted, fit


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
