from typing import Literal

import pytest

from service.cli.tally import Tally, summary
from service.stream.messages import Verdict


def verdict(status: Literal["scored", "duplicate", "conflict", "warming"]) -> Verdict:
    return Verdict(
        entity="a",
        timestamp_ms=0,
        status=status,
        score=None if status == "warming" else 0.5,
        severity=None,
        is_anomaly=False,
        p_value=None,
        contributions=[],
        incident=None,
        model=None,
    )


@pytest.mark.parametrize("status", ["duplicate", "conflict"])
def test_an_old_answer_given_again_is_no_new_score(
    status: Literal["duplicate", "conflict"],
) -> None:
    tally = Tally([1.0], [verdict("warming"), verdict("scored"), verdict(status)], [])
    found = summary([], tally)
    assert (found["points"], found["scored"]) == (3, 1)
