"""Numbers as people see them."""

import math
from decimal import Decimal

import numpy as np
from hypothesis import given, strategies as st

from service.stream.digits import rounded

FLOAT32 = st.floats(width=32, allow_infinity=False)
USUAL = st.floats(2**-46, 2**99, width=32) | st.floats(-(2**99), -(2**-46), width=32)


def one(number: float, *, like: float) -> float:
    return float(rounded(np.array([number]), like=np.array([like]))[0])


@given(USUAL)
def test_a_float32_gets_the_digits_it_holds(number: float) -> None:
    assert math.isclose(one(number, like=number), float(f"{number:.7g}"), rel_tol=1e-15)


@given(center=st.decimals(-9_999, 9_999, places=3), delta=st.decimals(-99, 99, places=3))
def test_a_decimal_survives_being_kept_as_a_float32_beside_its_centre(
    center: Decimal, delta: Decimal
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
