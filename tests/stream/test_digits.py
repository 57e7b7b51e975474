"""Numbers as people see them."""

import math

import numpy as np
from hypothesis import given, strategies as st

from service.stream.digits import rounded

FLOAT32 = st.floats(width=32, allow_infinity=False)
USUAL = st.floats(1e-15, 1e30, width=32) | st.floats(-1e30, -1e-15, width=32)


def one(number: float, *, like: float) -> float:
    return float(rounded(np.array([number]), like=np.array([like]))[0])


@given(USUAL)
def test_a_float32_gets_the_digits_it_holds(number: float) -> None:
    assert math.isclose(one(number, like=number), float(f"{number:.7g}"), rel_tol=1e-6)
    assert len(repr(one(number, like=number)).strip("-0.").replace(".", "")) <= 17
    shown = f"{one(number, like=number):.7g}"
    assert math.isclose(float(shown), one(number, like=number), rel_tol=1e-15)


@given(center=st.decimals(-10_000, 10_000, places=3), delta=st.decimals(-99, 99, places=3))
def test_a_decimal_survives_being_kept_as_a_float32_beside_its_centre(
    center: float, delta: float
) -> None:
    kept = float(np.float32(delta))
    assert one(float(center) + kept, like=kept) == float(center + delta)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_beside_nothing_a_number_is_exact(number: float) -> None:
    assert one(number, like=0.0) == number


@given(st.lists(st.tuples(FLOAT32, FLOAT32), min_size=1, max_size=20))
def test_a_number_is_rounded_the_same_in_any_company(pairs: list[tuple[float, float]]) -> None:
    numbers, like = np.array(pairs).T
    alone = [one(*each[:1], like=each[1]) for each in pairs]
    np.testing.assert_array_equal(rounded(numbers, like=like), alone)


def test_what_is_missing_stays_missing() -> None:
    assert math.isnan(one(math.nan, like=math.nan))
    assert math.isnan(one(1.0, like=math.nan)) is False
