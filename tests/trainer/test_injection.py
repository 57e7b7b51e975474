from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from service.errors import BadSeries
from service.scoring.series import FloatArray, Series
from trainer.benchmark.faults import (
    EFFECTS,
    FAULTS,
    LEAST_CHANGE,
    FaultName,
    Scene,
    Seen,
    look_at,
)
from trainer.benchmark.injection import Layout, clean_points, inject, stream

CONSTANT = 5  # a dimension that never moves


def calm(count: int = 6600, *, entity: str = "alpha", seed: int = 0) -> Series:
    """Six dimensions driven by two slow waves, one of them constant."""
    random = np.random.default_rng(seed)
    wave = np.sin(np.arange(count) / 40 + seed)[:, None]
    other = np.cumsum(random.normal(size=(count, 1)), axis=0) / 20
    mixed = wave @ random.normal(size=(1, 6)) + other @ random.normal(size=(1, 6))
    values = mixed * np.logspace(-1, 3, 6) + 0.05 * random.normal(size=(count, 6))
    values[:, CONSTANT] = 7.0
    stamps = 60_000 * np.arange(count, dtype=np.int64)
    return Series(entity, tuple("abcdef"), stamps, values, label=None, segments=())


def struck(fault: FaultName, **changes: int) -> tuple[Series, Series, Seen]:
    clean = calm(seed=changes.get("seed", 0))
    seen = look_at(clean.values)
    return clean, inject(clean, seen, faults=(fault,), draw=changes.get("draw", 0)), seen


def scene(*, start: int = 300, count: int = 40) -> Scene:
    values = calm(800).values
    return Scene(values, start, count, look_at(values))


def chance() -> np.random.Generator:
    return np.random.default_rng(1)


def value_at_the_same_rank(value: float, own: FloatArray, other: FloatArray) -> float:
    """The slow `pair`: count how many are below and how many are equal, look that far up."""
    below = sum(1 for known in own.tolist() if known < value)
    equal = sum(1 for known in own.tolist() if known == value)
    return float(sorted(other.tolist())[(below + below + equal) // 2])


@settings(max_examples=10, deadline=None)
@given(st.sampled_from(FAULTS), st.integers(0, 3), st.integers(0, 5))
def test_only_the_culprits_change_and_only_in_their_segments(
    fault: FaultName, draw: int, seed: int
) -> None:
    clean, faulty, seen = struck(fault, draw=draw, seed=seed)
    expected = clean.values.copy()
    for segment in faulty.segments:
        rows, columns = slice(segment.start, segment.end + 1), [*segment.dimensions]
        change = np.abs(faulty.values[rows, columns] - expected[rows, columns]).mean(axis=0)
        assert (change >= LEAST_CHANGE[fault] * seen.sd[columns]).all()
        assert 1 <= len(columns) <= 4
        assert CONSTANT not in columns
        expected[rows, columns] = faulty.values[rows, columns]
    assert faulty.values.tobytes() == expected.tobytes()
    assert faulty.timestamps_ms is clean.timestamps_ms


@settings(max_examples=10, deadline=None)
@given(st.sampled_from(FAULTS), st.integers(0, 3), st.integers(0, 5))
def test_the_label_is_the_segments_and_the_layout_is_kept(
    fault: FaultName, draw: int, seed: int
) -> None:
    _, faulty, _ = struck(fault, draw=draw, seed=seed)
    layout, label = Layout(), faulty.label
    assert label is not None
    points = {i for each in faulty.segments for i in range(each.start, each.end + 1)}
    assert set(np.flatnonzero(label).tolist()) == points
    behind = clean_points(len(label), layout)
    assert not label[:behind].any()
    assert 0.14 <= label[behind:].mean() <= 0.18
    assert len(faulty.segments) == 12
    assert all(20 <= each.end - each.start + 1 <= 100 for each in faulty.segments)
    ends = [each.end for each in faulty.segments]
    starts = [each.start for each in faulty.segments[1:]] + [len(label)]
    assert all(b - a > layout.quiet_points for a, b in zip(ends, starts, strict=True))


@settings(max_examples=10, deadline=None)
@given(st.sampled_from(FAULTS), st.integers(0, 5))
def test_no_dimension_shows_what_it_never_showed(fault: FaultName, seed: int) -> None:
    clean, faulty, _ = struck(fault, seed=seed)
    for column in range(clean.values.shape[1]):
        known, shown = clean.values[:, column], faulty.values[:, column]
        assert known.min() <= shown.min()
        assert shown.max() <= known.max()
        if fault != "leak":
            assert set(shown.tolist()) <= set(known.tolist())


def test_the_same_names_give_the_same_faults_and_others_do_not() -> None:
    clean, again, other = calm(), calm(), calm(entity="beta")
    seen = look_at(clean.values)

    def values(series: Series, faults: Sequence[FaultName], draw: int, seed: int = 0) -> bytes:
        return inject(series, seen, faults=faults, draw=draw, seed=seed).values.tobytes()

    first = values(clean, ("swap",), 0)
    assert values(again, ("swap",), 0) == first
    others = [
        values(clean, ("swap",), 1),
        values(clean, ("lag",), 0),
        values(other, ("swap",), 0),
        values(clean, ("swap",), 0, seed=1),
    ]
    assert first not in others
    assert len(set(others)) == len(others)


def test_chance_is_the_same_on_every_machine() -> None:
    drawn = stream(0, "machine-1-6", "swap", 0).integers(0, 1000, 4)
    assert drawn.tolist() == [645, 27, 19, 268]


def test_faults_take_turns() -> None:
    clean = calm()
    layout = Layout(segments=6, longest=100, least_share=0.1, most_share=0.3)
    faulty = inject(clean, look_at(clean.values), faults=("freeze", "leak"), draw=0, layout=layout)
    is_frozen = [
        not np.ptp(faulty.values[each.start : each.end + 1, each.dimensions[0]])
        for each in faulty.segments
    ]
    assert sum(is_frozen) == 3


def test_swap_is_a_run_of_the_same_dimension_at_another_time() -> None:
    found = scene()
    become = EFFECTS["swap"](found, (1, 3), chance())
    for position, column in enumerate((1, 3)):
        runs = [found.seen.rows[s : s + 40, column].tolist() for s in range(800 - 40 + 1)]
        assert become[:, position].tolist() in runs


def test_pair_shows_the_other_dimension_at_equal_rank() -> None:
    found = scene()
    found.clean[310:320, 0] = found.clean[310, 0]  # equal values
    found = Scene(found.clean, 300, 40, look_at(found.clean))
    become, rows = EFFECTS["pair"](found, (0, 2), chance()), found.seen.rows
    for step, row in enumerate(found.values):
        assert become[step, 0] == value_at_the_same_rank(row[2], rows[:, 2], rows[:, 0])
        assert become[step, 1] == value_at_the_same_rank(row[0], rows[:, 0], rows[:, 2])


def test_pair_of_values_never_seen_is_the_end_of_the_range() -> None:
    found = scene()
    beyond = found.clean.copy()
    beyond[300:340, 0] = [1e9, -1e9] * 20
    become = EFFECTS["pair"](Scene(beyond, 300, 40, found.seen), (0, 2), chance())
    known = found.seen.rows[:, 2]
    assert become[:2, 1].tolist() == [known.max(), known.min()]


def test_lag_is_five_to_thirty_points_late() -> None:
    found = scene()
    late = {
        steps
        for seed in range(60)
        for steps in range(1, 60)
        if np.array_equal(
            EFFECTS["lag"](found, (1,), np.random.default_rng(seed))[:, 0],
            found.clean[300 - steps : 340 - steps, 1],
        )
    }
    assert late <= set(range(5, 31))
    assert len(late) > 15


def test_freeze_holds_the_last_value_before_it() -> None:
    found = scene()
    become = EFFECTS["freeze"](found, (0, 4), chance())
    assert become.shape == (40, 2)
    assert (become == found.clean[299, [0, 4]]).all()


def test_leak_climbs_by_two_to_four_deviations_inside_the_seen_range() -> None:
    found = scene()
    low, high = found.seen.rows[:, 1].min(), found.seen.rows[:, 1].max()
    for seed in range(20):
        become = EFFECTS["leak"](found, (1,), np.random.default_rng(seed))[:, 0]
        obvious = [
            {
                round(min(max(value + sign * part * step / 40, low), high), 9)
                for part in (2 * found.seen.sd[1], 4 * found.seen.sd[1])
                for sign in (-1, 1)
            }
            for step, value in enumerate(found.values[:, 1].tolist(), start=1)
        ]
        for shown, bounds in zip(become.tolist(), obvious, strict=True):
            assert min(bounds) - 1e-6 <= shown <= max(bounds) + 1e-6
        drift = np.abs(become - found.values[:, 1])
        is_inside = (become > low) & (become < high)
        assert (np.diff(drift[is_inside]) > 0).all()


def test_pairs_are_the_correlated_dimensions() -> None:
    rows = calm().values
    obvious = [
        (a, b)
        for a in range(CONSTANT)
        for b in range(a + 1, CONSTANT)
        if 0.5 < abs(np.corrcoef(rows[:, a], rows[:, b])[0, 1]) < 0.98
    ]
    assert list(look_at(rows).pairs) == obvious
    assert obvious


def test_a_series_too_short_for_its_faults_is_refused() -> None:
    clean = calm(200)
    with pytest.raises(BadSeries, match="12 segments of 20 to 100 points"):
        inject(clean, look_at(clean.values), faults=("swap",), draw=0)


def test_a_series_in_which_nothing_moves_is_refused() -> None:
    clean = calm()
    clean.values[:] = 1.0
    with pytest.raises(BadSeries, match="a place where freeze can be seen"):
        inject(clean, look_at(clean.values), faults=("freeze",), draw=0)
