import numpy as np
import pytest
from hypothesis import given, strategies as st

from tests.trainer import slow_measures as slow
from trainer.measures import attribution


@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=12),
    st.data(),
    st.sampled_from([100, 120, 150, 200]),
)
def test_attribution_equals_its_loops(values: list[int], data: st.DataObject, percent: int) -> None:
    culprits = data.draw(
        st.lists(st.integers(0, len(values) - 1), min_size=1, max_size=len(values), unique=True)
    )
    contribution = np.array(values, float)
    fast = attribution.hit_rate(contribution, culprits, percent=percent)
    assert fast == pytest.approx(slow.hit_rate(contribution, culprits, percent=percent))
    assert attribution.ndcg(contribution, culprits) == pytest.approx(
        slow.ndcg(contribution, culprits)
    )


def test_hit_rate_cuts_at_a_percentage_of_the_culprits() -> None:
    contribution = np.array([5.0, 4.0, 3.0, 2.0, 1.0])
    assert attribution.hit_rate(contribution, (0, 2), percent=100) == 0.5
    assert attribution.hit_rate(contribution, (0, 2), percent=150) == 1.0
    assert attribution.hit_rate(contribution, (0, 1, 4), percent=150) == pytest.approx(2 / 3)


def test_rc_top_asks_for_one_culprit_among_the_first() -> None:
    contribution = np.array([5.0, 4.0, 3.0, 2.0])
    assert attribution.rc_top(contribution, (2, 3), count=3) == 1.0
    assert attribution.rc_top(contribution, (3,), count=3) == 0.0


def test_ndcg_is_one_when_the_culprits_come_first() -> None:
    contribution = np.array([1.0, 9.0, 8.0, 0.0])
    assert attribution.ndcg(contribution, (1, 2)) == 1.0
    assert attribution.ndcg(contribution, (1, 3)) == pytest.approx(1 / (1 + 1 / np.log2(3)))
