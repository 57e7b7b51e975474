import numpy as np
import pytest
from hypothesis import given, strategies as st

from service.scoring.bundle import View
from service.scoring.normaliser import LN_2, aggregate, normal_surprisal, one_nat
from tests import reference

AGGREGATIONS = st.sampled_from(["sum", "sum_sqrt", "top_mean"])


@given(st.floats(-8, 1e6))
def test_normal_surprisal_equals_scipy(z: float) -> None:
    found = float(normal_surprisal(np.array([z], np.float32))[0])
    expected = reference.normal_surprisal(float(np.float32(z)))
    assert found == pytest.approx(expected, rel=1e-3, abs=1e-6)


def test_normal_surprisal_is_finite_at_the_greatest_deviation() -> None:
    assert np.isfinite(normal_surprisal(np.array([-1e9, 0.0, 1e9], np.float32))).all()


@given(
    st.lists(st.floats(0, 1e5, width=32), min_size=1, max_size=40),
    AGGREGATIONS,
    st.integers(1, 6),
)
def test_aggregate_equals_the_slow_version(nats: list[float], name: str, top: int) -> None:
    view = view_with(name, top)
    found = aggregate(np.array([nats], np.float32), view)[0]
    assert found == pytest.approx(reference.aggregate(nats, view), rel=1e-5, abs=1e-6)


@given(AGGREGATIONS, st.integers(1, 6), st.integers(1, 40))
def test_one_nat_is_the_slope_of_the_aggregate_at_an_ordinary_point(
    name: str, top: int, dimensions: int
) -> None:
    view, step = view_with(name, top), 1e-4
    calm = [LN_2] * dimensions
    grown = reference.aggregate([LN_2 + step, *calm[1:]], view) - reference.aggregate(calm, view)
    assert one_nat(view, dimensions) == pytest.approx(grown / step, rel=1e-3)


def view_with(aggregation: str, top: int) -> View:
    return View.model_validate(
        {
            "member": "m",
            "power": "abs",
            "half_life_points": 10,
            "floor": 1,
            "aggregation": aggregation,
            "top": top,
            "role": "both",
        }
    )
