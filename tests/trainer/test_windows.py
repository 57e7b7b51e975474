import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra.numpy import arrays

from service.errors import TrainingFailed
from service.scoring.series import FloatArray, Series
from trainer.config import GruVaeConfig
from trainer.windows import Lanes, Rows, impute, in_batches, medians, split, stretches


def series(times_ms: list[int]) -> Series:
    return Series(
        entity="one",
        dimensions=("a",),
        timestamps_ms=np.array(times_ms, dtype=np.int64),
        values=np.zeros((len(times_ms), 1)),
        label=None,
        segments=(),
    )


def numbered(*lengths: int) -> list[Rows]:
    """Pieces whose rows carry (piece, position)."""
    return [
        np.stack([np.full(length, piece), np.arange(length)], axis=1).astype(np.float32)
        for piece, length in enumerate(lengths)
    ]


@given(st.integers(200, 50_000), st.integers(8, 100), st.floats(0.1, 0.5), st.floats(0.1, 0.5))
def test_no_window_of_one_part_reaches_into_another(
    length: int, window: int, calibration_share: float, validation_share: float
) -> None:
    config = GruVaeConfig(
        window_length=window,
        calibration_share=calibration_share,
        validation_share=validation_share,
    )
    try:
        parts = split(length, config)
    except TrainingFailed:
        return
    assert parts.fit.start == 0
    assert parts.validation.start - (window - 1) == parts.fit.stop
    assert parts.calibration.start - (window - 1) == parts.validation.stop
    assert parts.calibration.stop == length


def test_default_split_keeps_the_last_three_tenths_for_calibration() -> None:
    parts = split(10_000, GruVaeConfig())
    assert (parts.fit, parts.validation, parts.calibration) == (
        slice(0, 6202),
        slice(6251, 6951),
        slice(7000, 10_000),
    )


def test_series_too_short_to_split_says_what_each_part_would_get() -> None:
    with pytest.raises(
        TrainingFailed, match="120 rows is too short for windows of 50: it leaves 0"
    ):
        split(120, GruVaeConfig())


@given(arrays(np.float64, (12, 3), elements=st.sampled_from([np.nan, np.nan, 1.0, 2.0])))
@settings(max_examples=50)
def test_missing_values_become_the_last_seen_or_the_fallback(values: FloatArray) -> None:
    fallback = np.array([10.0, 20.0, 30.0])
    expected = values.copy()
    for time, dimension in np.ndindex(values.shape):
        if np.isnan(values[time, dimension]):
            expected[time, dimension] = (
                expected[time - 1, dimension] if time else fallback[dimension]
            )
    np.testing.assert_array_equal(impute(values, fallback), expected)


def test_median_of_a_dimension_never_seen_is_zero() -> None:
    values = np.array([[1.0, np.nan], [np.nan, np.nan], [3.0, np.nan]])
    assert medians(values).tolist() == [2.0, 0.0]


def test_stretch_ends_where_the_timestamps_jump() -> None:
    times = [0, 60, 120, 180, 10_000, 10_060, 10_120]
    assert stretches(series(times), slice(1, 7)) == [slice(1, 4), slice(4, 7)]


def test_a_late_point_or_two_do_not_end_a_stretch() -> None:
    assert stretches(series([0, 60, 120, 400, 460]), slice(0, 5)) == [slice(0, 5)]


def test_single_row_is_a_stretch() -> None:
    assert stretches(series([0, 60]), slice(1, 2)) == [slice(1, 2)]


def test_chunks_never_cross_from_one_piece_to_another() -> None:
    lanes = Lanes(numbered(23, 50, 10, 4), GruVaeConfig(lanes=6, tbptt_steps=10))
    for _ in range(200):
        chunk, _ = next(lanes)
        assert chunk.shape == (6, 10, 2)
        assert bool((chunk[:, :, 0] == chunk[:, :1, 0]).all())
        assert bool((chunk[:, 1:, 1] - chunk[:, :-1, 1] == 1).all())


def test_lane_that_is_not_fresh_goes_on_where_it_was() -> None:
    lanes = Lanes(numbered(300, 200), GruVaeConfig(lanes=8, tbptt_steps=10))
    before, is_fresh = next(lanes)
    assert bool(is_fresh.all())
    continued = 0
    for _ in range(50):
        chunk, is_fresh = next(lanes)
        going_on = ~is_fresh
        assert bool((chunk[going_on, 0, 0] == before[going_on, -1, 0]).all())
        assert bool((chunk[going_on, 0, 1] == before[going_on, -1, 1] + 1).all())
        continued += int(going_on.sum())
        before = chunk
    assert continued > 200


def test_every_entity_is_seen_and_longer_ones_more_often() -> None:
    lanes = Lanes(numbered(400, 100), GruVaeConfig(lanes=16, tbptt_steps=10))
    seen = np.concatenate([next(lanes)[0][:, 0, 0].numpy() for _ in range(300)])
    assert 0.15 < (seen == 1).mean() < 0.25


def test_same_seed_gives_the_same_chunks() -> None:
    def draw(seed: int) -> list[float]:
        lanes = Lanes(numbered(100), GruVaeConfig(lanes=4, tbptt_steps=10, seed=seed))
        return [float(next(lanes)[0].sum()) for _ in range(20)]

    assert draw(1) == draw(1) != draw(2)


def test_pieces_shorter_than_a_chunk_shorten_the_chunk() -> None:
    chunk, _ = next(Lanes(numbered(7, 5), GruVaeConfig(lanes=3, tbptt_steps=50)))
    assert chunk.shape == (3, 7, 2)


def test_batches_hold_every_row_once() -> None:
    batches = in_batches(numbered(25, 13, 10), steps=10)
    assert [tuple(batch.shape) for batch in batches] == [(1, 3, 2), (1, 5, 2), (4, 10, 2)]
    rows = np.concatenate([batch.numpy().reshape(-1, 2) for batch in batches])
    assert len(np.unique(rows, axis=0)) == len(rows) == 48
