import numpy as np
from hypothesis import given, strategies as st

from service.scoring.incident import Evidence, Transition, advance, incident_dtype
from tests import reference


def evidence(scores: list[float], *, time: int) -> Evidence:
    score = np.array(scores)
    return Evidence(
        timestamps_ms=np.full(len(scores), time),
        is_flagged=score > 1,
        score=score,
        severity=score,
        contributions=np.ones((len(scores), 2), np.float32),
        holds=np.zeros(len(scores), bool),
        is_public=np.ones(len(scores), bool),
    )


@given(st.lists(st.lists(st.floats(0, 9), min_size=2, max_size=2), max_size=40))
def test_incidents_equal_the_slow_version(steps: list[list[float]]) -> None:
    incident = np.zeros(2, incident_dtype(2))
    slow = [reference.Incident(), reference.Incident()]
    for time, scores in enumerate(steps):
        found = advance(incident, evidence(scores, time=time), max_points=np.inf)
        expected = [
            one.advance(is_flagged=score > 1, score=score)
            for one, score in zip(slow, scores, strict=True)
        ]
        names = [Transition(code).name if code else "" for code in found]
        assert names == expected


def test_an_incident_keeps_its_opening_time_and_counts_its_points() -> None:
    incident = np.zeros(1, incident_dtype(2))
    for time, score in enumerate([0.0, 3.0, 0.5, 4.0]):
        advance(incident, evidence([score], time=time), max_points=np.inf)
    assert incident["opened_ms"][0] == 1
    assert (incident["points"][0], incident["anomalies"][0]) == (3, 2)
    assert incident["blame"][0].tolist() == [2.0, 2.0]
    assert incident["peak_score"][0] == 4.0


def test_an_incident_that_outlasts_the_memory_is_the_new_normal() -> None:
    incident = np.zeros(1, incident_dtype(2))
    found = [
        int(advance(incident, evidence([2.0], time=time), max_points=3)[0]) for time in range(5)
    ]
    assert found == [Transition.OPENED, 0, 0, Transition.NEW_NORMAL, Transition.OPENED]


def test_a_lost_dimension_without_a_score_is_told_once() -> None:
    incident = np.zeros(1, incident_dtype(2))
    lost = Evidence(
        timestamps_ms=np.zeros(1, np.int64),
        is_flagged=np.array([True]),
        score=np.full(1, np.nan),
        severity=np.full(1, np.nan),
        contributions=np.ones((1, 2), np.float32),
        holds=np.array([False]),
        is_public=np.array([True]),
    )
    found = [int(advance(incident, lost, max_points=np.inf)[0]) for _ in range(4)]
    assert found == [Transition.OPENED, 0, 0, 0]
