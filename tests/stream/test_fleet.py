import json
import math
from collections.abc import Sequence

import numpy as np
import pytest

from service.scoring.fold import Fold, Status
from service.scoring.incident import Transition
from service.stream.fleet.board import AHEAD_MS, ODD_NATS, Fleet
from service.stream.fleet.cells import CELLS
from service.stream.fleet.rows import Heard, Source, last_of, open_incidents
from service.stream.rows import Rows, row_dtype
from tests.builders import DIMENSIONS, PERIOD_MS, START_MS

NOW_MS = START_MS + 1_000_000
TINY = Source("tiny/1", 60.0, 4, DIMENSIONS)


def board(max_entities: int = 10, *, now_ms: int = NOW_MS) -> Fleet:
    return Fleet(max_entities, clock_ms=lambda: now_ms)


@pytest.fixture(scope="module")
def dtype(fold: Fold) -> np.dtype[np.void]:
    return row_dtype(fold)


def rows_of(dtype: np.dtype[np.void], times: Sequence[int], **columns: object) -> Rows:
    """Calm scored points at these minutes."""
    rows = np.zeros(len(times), dtype)
    rows["timestamp_ms"] = START_MS + PERIOD_MS * np.array(times)
    rows["status"], rows["score"], rows["severity"], rows["have"] = Status.SCORED, 0.5, 1.0, 9
    for name, column in columns.items():
        rows[name] = column
    return rows


def heard(entity: str, rows: Rows, *, source: Source = TINY, seen_ms: int = NOW_MS) -> Heard:
    counts = np.array([len(rows)])
    return Heard(
        source,
        [entity],
        counts,
        rows,
        seen_ms=np.array([seen_ms]),
        incident_ms=open_incidents(rows, last_of(counts)),
        is_silence=np.zeros(1, bool),
    )


def alert(entity: str, kind: str, *, opened: int, at: int | None = None, mark: str = "") -> bytes:
    """Of an incident that opened at a minute, told at another."""
    opened_ms, told_ms = (START_MS + PERIOD_MS * minute for minute in (opened, at or opened))
    name = f"{entity}@{opened_ms}{mark}"
    told = {"kind": kind, "entity": entity, "incident": name, "reason": "anomaly"}
    return json.dumps(told | {"opened_ms": opened_ms, "timestamp_ms": told_ms}).encode()


def incident_of(fleet: Fleet, entity: str) -> tuple[int, bool]:
    """The minute at which the open one opened, -1 without any; whether it is one of silence."""
    taken = fleet.taken("hour")
    row = taken.newest[taken.names.index(entity)]
    opened_ms = int(row["incident_ms"])
    return (opened_ms - START_MS) // PERIOD_MS if opened_ms else -1, bool(row["is_silence"])


def test_the_newest_point_is_shown_whatever_comes_after_it(dtype: np.dtype[np.void]) -> None:
    fleet = board()
    fleet.note(heard("a", rows_of(dtype, [5, 6], score=[0.1, 0.2]), seen_ms=7))
    fleet.note(heard("a", rows_of(dtype, [3, 4], score=[0.3, 0.4]), seen_ms=8))
    taken = fleet.taken("hour")
    assert (taken.names, taken.newest["seen_ms"].tolist()) == (["a"], [7])
    assert (taken.newest["score"].tolist(), taken.end_ms) == ([0.2], START_MS + 6 * PERIOD_MS)
    assert taken.cells[0, -5:].tolist() == [0, 5, 5, 5, 5]


def test_only_what_changed_is_said_again(dtype: np.dtype[np.void]) -> None:
    fleet = board()
    for entity in ("a", "b", "c"):
        fleet.note(heard(entity, rows_of(dtype, [1])))
    first = fleet.taken("hour")
    assert (first.is_whole, first.names) == (True, ["a", "b", "c"])
    fleet.note(heard("b", rows_of(dtype, [2])))
    second = fleet.taken("hour", first.version)
    assert (second.is_whole, second.names, second.on_board) == (False, ["b"], 3)
    assert second.cells.shape == (1, CELLS)
    assert fleet.taken("hour", second.version).names == []
    assert fleet.taken("hour", second.version + 1).is_whole


def test_who_is_gone_is_named_until_it_comes_back(dtype: np.dtype[np.void]) -> None:
    fleet = board()
    for entity in ("a", "b"):
        fleet.note(heard(entity, rows_of(dtype, [1], severity=20.0)))
    before = fleet.version
    fleet.forget(["a", "nobody"])
    gone = fleet.taken("hour", before)
    assert (gone.removed, gone.names, gone.on_board) == (["a"], [], 1)
    fleet.note(heard("a", rows_of(dtype, [3])))
    again = fleet.taken("hour", before)
    assert (again.removed, again.names) == ([], ["a"])
    assert again.cells[0].tolist() == [0] * (CELLS - 1) + [5]
    assert fleet.taken("hour").removed == []


def test_who_changed_meanwhile_is_not_forgotten(dtype: np.dtype[np.void]) -> None:
    fleet = board()
    for entity in ("a", "b"):
        fleet.note(heard(entity, rows_of(dtype, [1])))
    before = fleet.version
    fleet.note(heard("b", rows_of(dtype, [2])))
    fleet.forget(["a", "b"], unless_after=before)
    assert fleet.names() == {"b"}


def test_all_is_said_again_when_it_is_not_known_any_more_who_left(
    dtype: np.dtype[np.void],
) -> None:
    fleet = board(2)
    fleet.note(heard("a", rows_of(dtype, [1])))
    before = fleet.version
    for entity in ("b", "c", "d"):
        fleet.note(heard(entity, rows_of(dtype, [1])))
        fleet.forget([entity])
    assert fleet.taken("hour", before).is_whole
    assert fleet.taken("hour", fleet.version - 1).removed == ["d"]


def test_those_beyond_the_room_are_counted_and_come_when_there_is_some(
    dtype: np.dtype[np.void],
) -> None:
    fleet = board(2)
    for entity in ("a", "b", "c", "d", "c"):
        fleet.note(heard(entity, rows_of(dtype, [1])))
    taken = fleet.taken("hour")
    assert (taken.names, taken.left_off) == (["a", "b"], 2)
    fleet.forget(["a"])
    fleet.note(heard("c", rows_of(dtype, [2])))
    taken = fleet.taken("hour")
    assert (sorted(taken.names), taken.left_off) == (["b", "c"], 1)
    fleet.count(7)
    assert fleet.taken("hour").left_off == 5


def test_a_batch_of_which_some_find_no_room(dtype: np.dtype[np.void]) -> None:
    fleet = board(1)
    rows = rows_of(dtype, [1, 2, 1, 2, 3], score=[0.1, 0.2, 0.3, 0.4, 0.5])
    nothing = np.zeros(2, np.int64)
    fleet.note(
        Heard(TINY, ["a", "b"], np.array([2, 3]), rows, nothing + 1, nothing, nothing.astype(bool))
    )
    taken = fleet.taken("hour")
    assert (taken.names, taken.newest["score"].tolist(), taken.left_off) == (["a"], [0.2], 1)


def test_one_clock_ahead_empties_nobody_elses_map(dtype: np.dtype[np.void]) -> None:
    fleet = board(now_ms=START_MS + 10 * PERIOD_MS)
    fleet.note(heard("a", rows_of(dtype, [9])))
    fleet.note(heard("ahead", rows_of(dtype, [10 + AHEAD_MS // PERIOD_MS + 1])))
    taken = fleet.taken("hour")
    assert taken.end_ms == START_MS + 9 * PERIOD_MS
    assert taken.cells[:, -1].tolist() == [5, 0]
    fleet.forget(["a"])
    assert fleet.taken("hour").end_ms == START_MS + 16 * PERIOD_MS
    assert board().taken("hour").end_ms == NOW_MS


def test_incidents_open_and_end_by_points(dtype: np.dtype[np.void]) -> None:
    fleet, opened_ms = board(), START_MS + 5 * PERIOD_MS
    told = {"opened_ms": opened_ms, "is_public": True}
    fleet.note(heard("a", rows_of(dtype, [5], transition=Transition.OPENED, **told)))
    assert incident_of(fleet, "a") == (5, False)
    fleet.note(heard("a", rows_of(dtype, [6], **told)))
    assert incident_of(fleet, "a") == (5, False)
    for end in (Transition.RESOLVED, Transition.NEW_NORMAL):
        fleet.note(heard(end.name, rows_of(dtype, [7], transition=end, **told)))
        assert incident_of(fleet, end.name) == (-1, False)
    fleet.note(heard("quiet", rows_of(dtype, [7], opened_ms=opened_ms, is_public=False)))
    assert incident_of(fleet, "quiet") == (-1, False)


def test_incidents_open_and_end_by_alerts_of_whatever_replica(dtype: np.dtype[np.void]) -> None:
    fleet = board()
    fleet.note(heard("a", rows_of(dtype, [5])))
    before = fleet.version
    fleet.tell(alert("a", "opened", opened=6))
    assert incident_of(fleet, "a") == (6, False)
    assert fleet.taken("hour", before).names == ["a"]
    fleet.tell(alert("a", "resolved", opened=3, at=8))
    assert incident_of(fleet, "a") == (6, False)
    fleet.tell(alert("a", "resolved", opened=6, at=8))
    assert incident_of(fleet, "a") == (-1, False)
    assert fleet.has_ended("a", START_MS + 6 * PERIOD_MS, is_silence=False)


def test_silence_opens_and_the_next_point_ends_it(dtype: np.dtype[np.void]) -> None:
    fleet = board()
    fleet.note(heard("a", rows_of(dtype, [5])))
    fleet.tell(alert("a", "opened", opened=5, at=15, mark="~silence"))
    assert incident_of(fleet, "a") == (5, True)
    fleet.note(heard("a", rows_of(dtype, [20])))
    assert incident_of(fleet, "a") == (-1, False)


def test_alerts_that_say_nothing_new_change_nothing(dtype: np.dtype[np.void]) -> None:
    fleet = board()
    fleet.note(heard("a", rows_of(dtype, [9])))
    before = fleet.version
    fleet.tell(alert("a", "opened", opened=5))  # the row of a later point has come before it
    fleet.tell(alert("a", "opened", opened=8, at=18, mark="~silence"))
    fleet.tell(alert("a", "resolved", opened=9, mark="~gap"))
    fleet.tell(alert("nobody", "opened", opened=5))
    fleet.tell(b"{}")
    fleet.tell(b"not JSON")
    assert incident_of(fleet, "a") == (-1, False)
    assert fleet.version == before


def test_causes_are_those_of_the_newest_anomaly(dtype: np.dtype[np.void]) -> None:
    fleet = board()
    rows = rows_of(dtype, [1, 2, 3], is_anomaly=[True, True, False])
    rows["causes"]["dimension"] = [[0, 1, 2, 3], [3, 2, 1, 0], [1, 0, 2, 3]]
    rows["causes"]["share"] = [0.5, 0.3, 0.2, 0.0]
    fleet.note(heard("a", rows))
    other = Source("tiny/2", 60.0, 4, DIMENSIONS[::-1])
    fleet.note(heard("a", rows_of(dtype, [4, 5]), source=other))
    fleet.note(heard("a", rows[:1]))
    (row,) = (taken := fleet.taken("hour")).newest
    assert row["dimension"].tolist() == [3, 2, 1]
    assert row["share"].tolist() == pytest.approx([0.5, 0.3, 0.2])
    assert taken.sources[row["source"]] == other
    assert taken.sources[row["blamed_source"]] == TINY


def test_a_severe_point_has_causes_though_nothing_is_anomalous(dtype: np.dtype[np.void]) -> None:
    fleet = board()
    rows = rows_of(dtype, [1, 2, 3])
    rows["severity"] = [2.0, ODD_NATS, ODD_NATS - 0.01]
    rows["causes"]["dimension"][:, :2] = [[0, 1], [3, 2], [1, 0]]
    rows["causes"]["share"][:, :2] = [0.6, 0.4]
    fleet.note(heard("a", rows))
    (row,) = fleet.taken("hour").newest
    assert row["dimension"].tolist()[:2] == [3, 2]
    assert row["blamed_ms"] == rows["timestamp_ms"][1]


def test_a_warming_entity_has_no_score_and_its_cell_says_that_there_was_a_point(
    dtype: np.dtype[np.void],
) -> None:
    fleet = board()
    unscored = {"score": math.nan, "severity": math.nan, "status": Status.WARMING, "have": 1}
    fleet.note(heard("a", rows_of(dtype, [1], **unscored)))
    taken = fleet.taken("day")
    assert math.isnan(taken.newest["score"][0])
    assert taken.cells[0, -1] == 1


def test_the_first_millisecond_of_1970_is_a_time(dtype: np.dtype[np.void]) -> None:
    fleet, rows = board(), rows_of(dtype, [0])
    rows["timestamp_ms"] = 0
    fleet.note(heard("a", rows))
    taken = fleet.taken("hour")
    assert (taken.newest["score"].tolist(), taken.end_ms) == ([0.5], 0)
    assert taken.cells[0].tolist() == [0] * (CELLS - 1) + [5]


def test_points_that_came_here_first_are_counted(dtype: np.dtype[np.void]) -> None:
    fleet = board(3)
    fleet.note(heard("a", rows_of(dtype, [5, 6])), is_first=True)
    fleet.note(heard("a", rows_of(dtype, [4, 6])))
    fleet.note(heard("a", rows_of(dtype, [7])), is_first=True)
    fleet.note(heard("b", rows_of(dtype, [7])))
    assert fleet.heard(["a", "b", "c"]) == {"a": 3, "b": 0}
    assert fleet.room == 1
