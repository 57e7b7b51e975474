from dataclasses import replace

import numpy as np
import pytest

from service.scoring.series import FloatArray, Series
from tests.trainer.small import series, tiny
from trainer.config import Config
from trainer.fit import fit
from trainer.trim import WINDOW, facts, sentence, trim
from trainer.windows import BREAK_PERIODS, split, stretches

BURST = slice(320, 352)  # rows of two windows


def linear(**changes: object) -> Config:
    return tiny("linear", **changes)


def contaminated(values: FloatArray | None = None, *, size: float = 2.0) -> Series:
    """A small series whose relations break for 32 points of the fit part."""
    one = series()
    values = one.values.copy() if values is None else values
    random = np.random.default_rng(1)
    values[BURST] += size * random.normal(size=values[BURST].shape)
    return replace(one, values=values, dimensions=one.dimensions[: values.shape[1]])


def inside(ranges: tuple[tuple[int, int], ...]) -> set[int]:
    return {row for start, stop in ranges for row in range(start, stop)}


@pytest.mark.parametrize("width", [1, 2, 6])
def test_what_breaks_the_relations_is_left_out_first(width: int) -> None:
    one = contaminated(series().values[:, :width].copy())
    found = trim(one, linear(trim=0.06))
    assert set(range(BURST.start, BURST.stop)) <= inside(found.ranges)
    left = np.delete(np.arange(len(one.values)), sorted(inside(found.ranges)))
    assert found.series.values.tolist() == one.values[left].tolist()
    assert found.series.timestamps_ms.tolist() == one.timestamps_ms[left].tolist()


def test_only_the_fit_part_is_trimmed_and_only_by_its_share() -> None:
    one, config = contaminated(), linear(trim=0.1)
    fit_part = split(len(one.values), config).fit
    rows = inside(trim(one, config).ranges)
    assert max(rows) < fit_part.stop
    windows = fit_part.stop // WINDOW
    assert len(rows) == WINDOW * int(0.1 * windows)


def test_what_is_left_out_ends_a_stretch() -> None:
    assert WINDOW > BREAK_PERIODS
    one, config = contaminated(), linear(trim=0.06)
    kept = trim(one, config)
    pieces = stretches(kept.series, slice(0, len(kept.series.values)))
    assert len(pieces) == len(kept.ranges) + 1


def test_labels_do_not_matter() -> None:
    one = contaminated()
    labelled = replace(one, label=np.arange(len(one.values)) % 2 == 0)
    assert trim(one, linear(trim=0.05)).ranges == trim(labelled, linear(trim=0.05)).ranges


def test_a_share_below_one_window_leaves_all() -> None:
    one = contaminated()
    found = trim(one, linear(trim=0.001))
    assert (found.series, found.ranges) == (one, ())


def test_missing_and_constant_values_do_not_hinder() -> None:
    values = series().values.copy()
    values[:, 1], values[::7, 0] = 3.0, np.nan
    found = trim(contaminated(values), linear(trim=0.06))
    assert set(range(BURST.start, BURST.stop)) <= inside(found.ranges)


def test_a_fit_tells_what_it_left_out() -> None:
    fitted = fit([contaminated()], linear(trim=0.06))
    assert set(range(BURST.start, BURST.stop)) <= inside(fitted.trimmed[0])
    assert len(fitted.series[0].values) == 1200 - len(inside(fitted.trimmed[0]))
    assert fit([contaminated()], linear()).trimmed == ()


def test_trimmed_training_data_scale_less_widely() -> None:
    one = contaminated(size=20.0)
    plain, trimmed = (fit([one], linear(trim=share)) for share in (None, 0.06))
    assert (trimmed.linear.scaling.span[1] < plain.linear.scaling.span[1]).all()


def test_what_is_said_names_rows_and_points() -> None:
    assert facts(["alpha", "beta"], [((0, 16), (32, 48)), ()]) == {
        "trimmed_points": 32,
        "trimmed": "alpha 0:16,32:48",
    }
    assert facts(["alpha"], [()]) == {}
    said = sentence({"trim": 0.01, "trimmed_points": 32, "trimmed": "alpha 0:16,32:48"})
    assert said.startswith("32 points, the 1.0% of windows")
    assert "alpha 0:16,32:48" in said
    assert sentence({}) == ""
