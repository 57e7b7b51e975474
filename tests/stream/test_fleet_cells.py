import math

import numpy as np
from hypothesis import given, strategies as st

from service.stream.fleet.cells import CELLS, Cells, levels_of
from tests.reference import fleet_cells

severities = st.one_of(st.just(math.nan), st.floats(0, 40), st.sampled_from([0.25, 0.5, 31.5, 1e9]))
Point = tuple[int, int, float, bool]  # place, time in seconds, severity, is it an anomaly
points = st.tuples(st.integers(0, 2), st.integers(0, 20_000), severities, st.booleans())


def put(cells: Cells, batch: list[Point]) -> None:
    places, seconds, severity, anomalies = (np.array(column) for column in zip(*batch, strict=True))
    levels = levels_of(severity.astype(float))
    cells.put(places, 1000 * seconds, levels=levels, anomalies=anomalies.astype(bool))


@given(
    st.lists(st.lists(points, min_size=1, max_size=30), max_size=6),
    st.sampled_from([60, 360, 1440]),
    st.integers(0, 5_000),
)
def test_cells_equal_the_slow_ones_whatever_comes_in_which_order(
    batches: list[list[Point]], cell_seconds: int, later_seconds: int
) -> None:
    cells = Cells(3, seconds=cell_seconds)
    for batch in batches:
        put(cells, batch)
    came = [point for batch in batches for point in batch]
    end_ms = 1000 * (max((seconds for _, seconds, *_ in came), default=0) + later_seconds)
    found = cells.read(np.arange(3), end_ms)
    for place in range(3):
        mine = [(1000 * time, severity, odd) for at, time, severity, odd in came if at == place]
        slow = fleet_cells(mine, end_ms=end_ms, cell_ms=1000 * cell_seconds)
        assert found[place].tolist() == slow


@given(st.lists(points, min_size=1, max_size=60))
def test_a_point_that_is_taken_twice_changes_nothing(batch: list[Point]) -> None:
    once, twice = Cells(3, seconds=60), Cells(3, seconds=60)
    for cells, times in ((once, 1), (twice, 2)):
        for _ in range(times):
            put(cells, batch)
    places, end_ms = np.arange(3), 1000 * max(seconds for _, seconds, *_ in batch)
    assert once.read(places, end_ms).tolist() == twice.read(places, end_ms).tolist()


def test_a_cleared_place_is_as_new() -> None:
    cells = Cells(2, seconds=60)
    put(cells, [(0, 600, 3.0, True), (1, 600, 3.0, True)])
    cells.clear(0)
    left, kept = cells.read(np.arange(2), 600_000)
    assert (left.max(), kept[-1]) == (0, 128 + 13)


def test_an_end_before_the_newest_point_shows_no_later_cell() -> None:
    cells = Cells(1, seconds=60)
    put(cells, [(0, 6_000, 1.0, False), (0, 6_060, 2.0, False), (0, 6_000 + 60 * CELLS, 3.0, True)])
    (found,) = cells.read(np.arange(1), 6_060_000)
    assert found[-2:].tolist() == [0, 9]
