import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, strategies as st

from service.errors import BadSeries
from service.scoring.series import Segment, Series
from tests.trainer.small import series, tiny
from trainer.datasets import Halves
from trainer.ranges import ranged, trained_on


def labelled(count: int = 40) -> Series:
    label = np.zeros(count, np.bool_)
    label[5:9] = label[20:31] = True
    segments = (Segment(5, 8, (0,)), Segment(20, 30, (1, 2)))
    return replace(series(count=count), label=label, segments=segments)


@given(st.integers(0, 39), st.integers(1, 60))
def test_rows_labels_and_segments_are_cut_alike(start: int, size: int) -> None:
    whole = labelled()
    config = tiny(test_start=start, max_test_size=size)
    (one,) = ranged(Halves([], [whole]), config).test
    assert whole.label is not None
    assert one.label is not None
    np.testing.assert_array_equal(one.values, whole.values[start : start + size])
    np.testing.assert_array_equal(one.timestamps_ms, whole.timestamps_ms[start : start + size])
    np.testing.assert_array_equal(one.label, whole.label[start : start + size])
    told = np.zeros(len(one.values), np.bool_)
    for segment in one.segments:
        told[segment.start : segment.end + 1] = True
    np.testing.assert_array_equal(told, one.label)


def test_without_a_range_the_series_are_what_they_were() -> None:
    whole = labelled()
    halves = ranged(Halves([whole], [whole]), tiny())
    assert halves.train[0] is whole
    assert halves.test[0] is whole


def test_a_range_behind_the_last_row_is_named() -> None:
    with pytest.raises(BadSeries, match="alpha: expected rows from 40 on, came 40 rows"):
        ranged(Halves([labelled()], []), tiny(train_start=40))


def test_a_manifest_tells_only_of_the_training_half() -> None:
    told = tiny(train_start=4, max_train_size=9, test_start=3).model_dump(exclude_none=True)
    halves = trained_on(Halves([labelled()], [labelled()]), json.loads(json.dumps(told)))
    assert [len(one.values) for one in (*halves.train, *halves.test)] == [9, 40]
    assert len(trained_on(Halves([labelled()], []), {}).train[0].values) == 40
