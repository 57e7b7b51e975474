"""A series in pieces says what the whole says, wherever it is cut."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings, strategies as st

from service.errors import BadSeries
from service.scoring.fold import Fold
from service.scoring.offline import Scored, Told, score_series
from service.scoring.pieces import Past, decoded, no_past, score_piece, told_before
from service.scoring.series import Series
from tests.builders import series_like

COUNT = 90


def troubled(entity: str) -> Series:
    """A short break, one that lasts to the end, and a dimension that is lost for a while."""
    series = series_like(entity, COUNT, seed=3)
    values = series.values.copy()
    values[30:34, 1] += 9.0
    values[45:56, 2] = np.nan
    values[70:, 0] += 12.0 + np.arange(COUNT - 70)
    return replace(series, values=values)


def piece(series: Series, start: int, end: int) -> Series:
    at = slice(start, end)
    return replace(series, timestamps_ms=series.timestamps_ms[at], values=series.values[at])


def in_pieces(fold: Fold, series: Series, cuts: list[int]) -> list[tuple[Past, Scored]]:
    past, found = no_past(fold, series.entity), []
    for start, end in pairwise([0, *cuts, COUNT]):
        before = decoded(past.encode(), fold)
        scored, past = score_piece(fold, piece(series, start, end), before)
        found.append((before, scored))
    return found


def told_as(told: Told, *, offset: int) -> tuple[int, int, bytes]:
    return told.row + offset, int(told.transition), told.incident.tobytes()


@settings(max_examples=40, deadline=None)
@given(
    cuts=st.lists(st.integers(1, COUNT - 1), unique=True, max_size=6).map(sorted),
    entity=st.sampled_from(["alpha", "nobody"]),
)
@example(cuts=list(range(1, COUNT)), entity="alpha")
def test_any_cut_gives_the_verdicts_of_the_whole(fold: Fold, cuts: list[int], entity: str) -> None:
    series = troubled(entity)
    [whole] = score_series(fold, [series])
    found = in_pieces(fold, series, cuts)
    for name in vars(whole):
        if name != "told":
            joined = np.concatenate([getattr(scored, name) for _, scored in found])
            assert joined.tobytes() == getattr(whole, name).tobytes(), name
    told = [told_as(one, offset=past.points) for past, scored in found for one in scored.told]
    assert told == [told_as(one, offset=0) for one in whole.told]


def test_an_open_incident_is_taken_along_as_it_was_last_told(fold: Fold) -> None:
    series = troubled("alpha")
    [whole] = score_series(fold, [series])
    for cut in range(1, COUNT):
        (_, first), (past, _) = in_pieces(fold, series, [cut])
        before = told_before(past)
        last = first.told[-1] if first.told else None
        is_open = last is not None and bool(last.incident["is_open"])
        assert (before is not None) == is_open
        if before is not None and last is not None:
            assert before.incident.tobytes() == last.incident.tobytes()
            opened_ms = int(before.incident["opened_ms"])
            assert series.timestamps_ms[past.points + before.row] == opened_ms
    assert len(whole.told) > 3


def test_nothing_is_before_the_first_piece(fold: Fold) -> None:
    past = no_past(fold, "alpha")
    assert (past.points, past.newest_ms, told_before(past)) == (0, None, None)


def test_a_state_of_another_length_is_refused(fold: Fold) -> None:
    whole = no_past(fold, "alpha").encode()
    for bad in (b"", whole[:-1], whole + b"\0"):
        with pytest.raises(BadSeries, match=f"expected a state of {len(whole)} bytes"):
            decoded(bad, fold)
