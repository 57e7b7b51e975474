"""Points in columns say the same as points one by one."""

import math
import random
from itertools import chain

import numpy as np
from hypothesis import given, strategies as st

from service.stream.messages import Point
from service.stream.posted import Posted, Values

NAMES = ["a", "b", "c"]
numbers = st.none() | st.floats(-1e6, 1e6)
rows = st.lists(numbers, min_size=3, max_size=3) | st.dictionaries(st.sampled_from(NAMES), numbers)
points = st.lists(
    st.builds(Point, st.sampled_from(["x", "y", "z"]), st.integers(0, 2**40), rows), max_size=12
)
blocks = st.lists(st.lists(st.floats(-9, 9), min_size=3, max_size=3), min_size=1, max_size=5)


def as_numbers(values: Values) -> list[float]:
    row = [values.get(name) for name in NAMES] if isinstance(values, dict) else values
    return [math.nan if value is None else value for value in row]


@given(st.lists(points, min_size=1, max_size=4))
def test_several_parts_are_one_after_the_other(parts: list[list[Point]]) -> None:
    joined, flat = Posted.joined(list(map(Posted.of, parts))), list(chain.from_iterable(parts))
    assert list(joined) == flat
    assert len(joined) == len(flat)
    names = [point.entity for point in flat]
    assert joined.steps == max(map(names.count, names), default=0)


@given(points, st.randoms(use_true_random=False))
def test_a_matrix_has_the_values_by_name(listed: list[Point], order: random.Random) -> None:
    positions = order.sample(range(len(listed)), len(listed))
    found = Posted.of(listed).matrix(positions, NAMES)
    expected = [as_numbers(listed[position].values) for position in positions]
    assert np.array_equal(found, np.array(expected).reshape(-1, 3), equal_nan=True)


@given(blocks)
def test_a_block_is_the_same_as_its_rows(values: list[Values]) -> None:
    times, names = np.arange(len(values)), ["x"] * len(values)
    block, listed = Posted(names, times, np.array(values, np.float64)), Posted(names, times, values)
    chosen = list(range(len(values)))[::-1]
    assert np.array_equal(block.matrix(chosen, NAMES), listed.matrix(chosen, NAMES))
    assert list(Posted.joined([block, listed])) == [*listed, *listed]


@given(points, st.integers(0, 4))
def test_what_may_not_fit_is_found(listed: list[Point], count: int) -> None:
    counts = {"x": 3, "y": count, "z": -1}
    expected = [
        position
        for position, point in enumerate(listed)
        if isinstance(point.values, dict) or len(point.values) != counts[point.entity]
    ]
    assert Posted.of(listed).unusual(counts) == expected
    block = Posted([p.entity for p in listed], np.arange(len(listed)), np.zeros((len(listed), 3)))
    wrong = [i for i, point in enumerate(listed) if counts[point.entity] != 3]
    assert block.unusual({p.entity: counts[p.entity] for p in listed}) == wrong
