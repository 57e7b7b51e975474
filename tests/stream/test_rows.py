"""Rows of the log, and what is read from them."""

import math

import numpy as np
import numpy.typing as npt

from service.scoring.fold import Fold, Points
from service.scoring.incident import Transition
from service.scoring.tail import p_value
from service.stream.explain import in_words
from service.stream.messages import Cause
from service.stream.reader import ALERT_KINDS, Reader
from service.stream.rows import Rows, pack, row_dtype
from tests.builders import values_like

FloatArray = npt.NDArray[np.float64]


def packed(fold: Fold, values: FloatArray, *, index: int = 2) -> Rows:
    """Rows of one entity from a fresh state."""
    states, rows = fold.fresh(np.array([index])), np.zeros(len(values), row_dtype(fold))
    for time, row in enumerate(values):
        entity_index = np.array([index])
        points = Points(entity_index, np.array([time + 1]), fold.centre(row[None], entity_index))
        states, verdicts = fold.step(states, points)
        pack(rows[time : time + 1], points, verdicts, fold=fold)
    return rows


def test_a_row_survives_its_bytes(fold: Fold) -> None:
    rows = packed(fold, values_like("beta", 30))
    entities, reader = ["beta"] * 30, Reader(fold)
    again = np.frombuffer(rows.tobytes(), rows.dtype)
    assert reader.verdicts(entities, again) == reader.verdicts(entities, rows)


def test_a_row_reads_the_same_alone_and_among_others(fold: Fold) -> None:
    values = values_like("beta", 30)
    values[20:, 1] += 5.0
    values[25, 2] = math.nan
    rows, reader = packed(fold, values), Reader(fold)
    alone = [reader.verdicts(["beta"], rows[i : i + 1])[0] for i in range(30)]
    assert reader.verdicts(["beta"] * 30, rows) == alone
    assert alone[25].missing == ["c"]


def test_shares_of_a_verdict_sum_to_at_most_one_and_fall(fold: Fold) -> None:
    values = values_like("beta", 30)
    values[25, 1] += 5.0
    verdict = Reader(fold).verdicts(["beta"], packed(fold, values)[25:26])[0]
    shares = [cause.share for cause in verdict.contributions]
    assert shares == sorted(shares, reverse=True)
    assert math.isclose(sum(shares), 1.0, rel_tol=1e-5)
    assert verdict.contributions[0].dimension == "b"
    assert verdict.transition == "opened"
    assert verdict.incident == "beta@26"


def test_values_of_a_large_centre_keep_their_digits(fold: Fold) -> None:
    values = values_like("beta", 10)
    values[9] = [10.25, 10.5, math.nan, 9.75]
    rows = packed(fold, values)[9:]
    assert Reader(fold).kept("beta", rows)[0].values == [10.25, 10.5, None, 9.75]


def test_a_p_value_is_never_zero() -> None:
    assert p_value(1e6) > 0
    assert p_value(0.0) == 1.0


def test_every_transition_has_a_kind_of_alert() -> None:
    assert set(ALERT_KINDS) == set(Transition) - {Transition.NONE}


def test_a_cause_in_words_says_value_expected_band_and_share() -> None:
    cause = Cause("page_faults", 0.48, 812.0, 90.0, 15.0, 722.0)
    assert in_words(cause) == "page_faults 812 (expected 90 ± 15, 48%)"
    lost = Cause("fan_rpm", 1.0, None, 90.0, 15.0, None)
    assert in_words(lost) == "fan_rpm has no value"
