from dataclasses import replace

import numpy as np

from tests.builders import series_like
from trainer.census import between, census


def test_what_tells_a_model_little_is_counted_by_series() -> None:
    series = series_like("alpha", 4)
    values = np.array(
        [[1.0, 5.0, 0.0, np.nan], [2.0, 5.0, 1.0, np.nan], [3.0, np.nan, 1.0, np.nan]]
    )
    odd = replace(series, values=values, label=np.array([False, True, True]))
    found = census([series, odd])
    assert (found.series, found.points, found.labelled, found.missing) == (2, 7, 2, 4)
    assert (found.empty, found.constant, found.binary) == ((0, 1), (0, 1), (0, 1))
    assert str(found) == (
        "2 series of 7 points, 0 to 1 constant dimensions, 0 to 1 0/1 dimensions, "
        "0 to 1 empty dimensions, 4 missing values, 2 labelled points"
    )


def test_a_column_of_zeros_is_constant_and_not_a_flag() -> None:
    values = np.zeros((3, 1))
    found = census([replace(series_like("alpha", 3), values=values)])
    assert (found.constant, found.binary) == ((1,), (0,))


def test_dimensions_that_repeat_another_are_counted_once_each() -> None:
    one = series_like("alpha", 5)
    values = one.values[:, [0, 1, 0, 0]].copy()
    assert census([replace(one, values=values)]).repeated == (2,)
    values[:, 2:] = 4.0  # constant ones are counted as such
    assert census([replace(one, values=values)]).repeated == (0,)


def test_nothing_is_counted_of_nothing() -> None:
    assert str(census([])) == "0 series of 0 points"
    assert between([3, 3]) == "3"
