"""Points held inside a lateness bound: pure, against a slow version."""

import math

import numpy as np
from hypothesis import given, strategies as st

from service.stream.policy_limits import LAST_MS
from service.stream.waiting import (
    MAX_WAITING_POINTS,
    Fate,
    fates,
    read_waiting,
    waiting_blob,
    waiting_points,
)

LATENESS_MS = 5


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 1)), max_size=60), st.integers(1, 6))
def test_any_order_within_the_bound_scores_what_the_sorted_order_scores(
    arrivals: list[tuple[int, int]], chunk: int
) -> None:
    """Points come in chunks; each is new once, waits, or came after the watermark had passed."""
    waiting: dict[int, int] = {}
    newest_ms, seen_ms, scored = -1, -1, list[int]()
    for start in range(0, len(arrivals), chunk):
        came = arrivals[start : start + chunk]
        line = sorted([*waiting.items(), *came], key=lambda one: one[0])
        times = [time for time, _ in line]
        values = np.array([[float(value)] for _, value in line])
        found = fates(times, values, newest_ms=newest_ms, lateness_ms=LATENESS_MS)
        seen_ms = max([seen_ms, newest_ms, *times])
        expected, waits = list[Fate](), dict[int, int]()
        for time, value in line:
            if time <= newest_ms or time in scored:
                expected.append(Fate.PAST)
            elif time <= seen_ms - LATENESS_MS:
                expected.append(Fate.NEW)
                scored.append(time)
            elif time in waits:
                expected.append(Fate.WAITS_ALREADY if waits[time] == value else Fate.CONFLICTS)
            else:
                waits[time] = value
                expected.append(Fate.WAITS)
        assert found == expected
        waiting = waits
        newest_ms = max([newest_ms, *scored])
    assert scored == sorted(set(scored))
    assert set(scored) | set(waiting) <= {time for time, _ in arrivals}


def test_without_a_bound_nothing_waits() -> None:
    found = fates([3, 4, 4, 9], np.zeros((4, 1)), newest_ms=3, lateness_ms=0)
    assert found == [Fate.PAST, Fate.NEW, Fate.PAST, Fate.NEW]


def test_the_oldest_go_on_when_too_many_wait() -> None:
    times = list(range(1, MAX_WAITING_POINTS + 4))
    found = fates(times, np.zeros((len(times), 1)), newest_ms=0, lateness_ms=10**9)
    assert found == [Fate.NEW] * 3 + [Fate.WAITS] * MAX_WAITING_POINTS


@given(
    st.lists(
        st.tuples(
            st.integers(0, 2**53), st.floats(allow_infinity=False), st.floats(allow_infinity=False)
        )
    )
)
def test_what_waits_survives_its_bytes(points: list[tuple[int, float, float]]) -> None:
    times = np.array([time for time, *_ in points], np.int64)
    values = np.array([own for _, *own in points], np.float64).reshape(len(points), 2)
    again = read_waiting(waiting_blob(times, values), dimensions=2)
    assert again["timestamp_ms"].tolist() == times.tolist()
    assert np.array_equal(again["values"], values, equal_nan=True)


@given(
    st.lists(st.integers(1, LAST_MS - 1), min_size=1, max_size=20, unique=True),
    st.integers(1, 5),
    st.data(),
)
def test_points_are_counted_without_knowing_their_dimensions(
    times: list[int], dimensions: int, data: st.DataObject
) -> None:
    """Of values that are posted: 0, NaN, or far from the smallest that a float64 can hold."""
    value = st.floats(allow_infinity=False, allow_subnormal=False)
    row = st.lists(value, min_size=dimensions, max_size=dimensions)
    values = data.draw(st.lists(row, min_size=len(times), max_size=len(times)))
    blob = waiting_blob(np.array(sorted(times), np.int64), np.array(values, np.float64))
    assert waiting_points(blob) == len(times)


def test_bytes_that_hold_no_points_are_none() -> None:
    assert [waiting_points(b""), waiting_points(b"12345678"), waiting_points(b"torn")] == [0, 0, 0]


def test_bytes_of_other_dimensions_are_nobodys() -> None:
    blob = waiting_blob(np.array([1]), np.array([[math.nan, 1.0]]))
    assert len(read_waiting(blob, dimensions=3)) == 0
