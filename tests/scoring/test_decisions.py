import math

import numpy as np
import pytest
from hypothesis import given, strategies as st

from service.scoring import decisions

flagged = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40)


@given(flagged)
def test_precision_recall_and_f1_equal_their_counts(marks: list[tuple[bool, bool]]) -> None:
    label, flags = (np.array(column) for column in zip(*marks, strict=True))
    hits = sum(is_labelled and is_flagged for is_labelled, is_flagged in marks)
    if not any(label):
        for measure in (decisions.precision, decisions.recall, decisions.f1):
            assert math.isnan(measure(label, flags))
        return
    precision = hits / sum(flags) if any(flags) else 0.0
    recall = hits / sum(label)
    assert decisions.precision(label, flags) == pytest.approx(precision)
    assert decisions.recall(label, flags) == pytest.approx(recall)
    f1 = 2 * hits / (sum(label) + sum(flags))
    assert decisions.f1(label, flags) == pytest.approx(f1)
