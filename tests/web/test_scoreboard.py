import msgspec
import pytest
from msgspec import UNSET, UnsetType

from service.stream.messages import Alert, AlertKind, Cause, Verdict
from service.web.scoreboard import IDLE_SECONDS, WINDOW_SECONDS, Scoreboard


def verdict(entity: str, score: float, severity: float = 1.0) -> Verdict:
    return Verdict(
        entity=entity,
        timestamp_ms=0,
        status="scored",
        score=score,
        severity=severity,
        is_anomaly=score > 1,
        p_value=0.5,
        contributions=[],
        incident=None,
        model="tiny/1",
    )


def board(shown: int = 3, max_entities: int = 10) -> Scoreboard:
    return Scoreboard(shown=shown, max_entities=max_entities)


def test_a_spike_is_seen_for_a_whole_window_however_short_it_was() -> None:
    for start in (0.0, 17.3, 59.9):
        scores = board()
        scores.note(verdict("a", 9.0, severity=20.0), start)
        for second in range(1, int(WINDOW_SECONDS)):
            scores.note(verdict("a", 0.1), start + second)
            (standing,), _ = scores.leading(start + second)
            assert (standing.score, standing.severity) == (9.0, 20.0)


def test_a_spike_is_forgotten_after_two_windows() -> None:
    scores = board()
    scores.note(verdict("a", 9.0), 10.0)
    for second in range(20, 20 + int(2 * WINDOW_SECONDS)):
        scores.note(verdict("a", 0.1), second)
    (standing,), _ = scores.leading(2 * WINDOW_SECONDS + 10)
    assert standing.score == 0.1


def test_an_entity_with_rare_points_keeps_its_last_until_it_is_idle() -> None:
    scores = board()
    scores.note(verdict("a", 2.0), 30.0)
    (standing,), _ = scores.leading(30 + IDLE_SECONDS)
    assert standing.score == 2.0
    assert scores.leading(31 + IDLE_SECONDS) == ([], 0)


def test_the_highest_are_shown_and_the_rest_counted() -> None:
    scores = board(shown=2)
    for name, score in (("a", 0.5), ("b", 3.0), ("c", 0.7), ("d", 0.7)):
        scores.note(verdict(name, score), 0.0)
    shown, left_out = scores.leading(1.0)
    assert [standing.entity for standing in shown] == ["b", "c"]
    assert left_out == 2


def test_a_flood_of_names_is_bounded_and_idle_ones_make_room() -> None:
    scores = board(max_entities=3)
    for number in range(1_000):
        scores.note(verdict(f"e{number}", 1.0), 0.0)
    shown, left_out = scores.leading(0.0)
    assert (len(shown), left_out) == (3, 3), "counted up to as many as there may be"
    scores.note(verdict("late", 1.0), IDLE_SECONDS + 1)
    shown, _ = scores.leading(IDLE_SECONDS + 1)
    assert [standing.entity for standing in shown] == ["late"]


def test_who_did_not_fit_is_counted_until_it_is_idle_or_fits() -> None:
    scores = board(shown=1, max_entities=2)
    for name in "abcdc":
        scores.note(verdict(name, 1.0), 0.0)
    assert scores.leading(0.0)[1] == 3
    scores.note(verdict("c", 1.0), IDLE_SECONDS + 1)
    assert scores.leading(IDLE_SECONDS + 1)[1] == 0, "c has room now, d is idle"


def test_a_full_board_looks_for_idle_entities_once_a_second() -> None:
    """Each look goes over all of them."""
    scores = board(max_entities=1)
    scores.note(verdict("a", 1.0), 0.0)
    for now_seconds in (IDLE_SECONDS - 0.4, IDLE_SECONDS + 0.1):
        scores.note(verdict("b", 1.0), now_seconds)
    assert scores.leading(IDLE_SECONDS + 0.1) == ([], 1), "a was idle, but nobody had looked"
    scores.note(verdict("b", 1.0), IDLE_SECONDS + 0.2)
    (standing,), left_out = scores.leading(IDLE_SECONDS + 0.2)
    assert (standing.entity, left_out) == ("b", 0)


def incident(
    score: float, timestamp_ms: int, *, transition: AlertKind | UnsetType = UNSET, **shares: float
) -> Verdict:
    """A verdict on a point of the open incident `a@1`."""
    causes = [Cause(name, share, 1.0, 0.0, 0.1, 1.0) for name, share in shares.items()]
    return msgspec.structs.replace(
        verdict("a", score),
        timestamp_ms=timestamp_ms,
        incident="a@1",
        contributions=causes,
        transition=transition,
    )


def test_an_open_incident_is_shown_with_the_mean_share_of_its_causes() -> None:
    scores = board()
    scores.note(incident(3.0, 1, cpu=0.8, disk=0.2), 0.0)
    scores.note(incident(3.0, 2, cpu=0.6, net=0.3, disk=0.06, fan=0.04), 1.0)
    scores.note(incident(0.5, 3, idle=1.0), 2.0)  # no anomaly: nobody is to blame
    (standing,), _ = scores.leading(2.0)
    assert standing.is_open
    assert standing.newest_ms == 3
    assert [name for name, _ in standing.causes] == ["cpu", "net", "disk"]
    assert [share for _, share in standing.causes] == pytest.approx([0.7, 0.15, 0.13])


def test_an_incident_is_shown_a_minute_after_its_end_so_that_a_scrape_sees_it() -> None:
    scores = board()
    scores.note(incident(3.0, 1, cpu=1.0), 0.0)
    scores.note(incident(0.5, 2, transition="resolved"), 0.1)
    for second in (1.0, 30.0, 60.0):
        scores.note(msgspec.structs.replace(verdict("a", 0.1), timestamp_ms=int(second)), second)
        (standing,), _ = scores.leading(second)
        assert (standing.is_open, standing.causes) == (True, (("cpu", 1.0),))
    (standing,), _ = scores.leading(60.2)
    assert (standing.is_open, standing.causes) == (False, ())


def test_an_incident_that_another_replica_resolved_ends_with_the_next_point() -> None:
    scores = board()
    scores.note(incident(3.0, 1, cpu=1.0), 0.0)
    scores.note(msgspec.structs.replace(verdict("a", 0.1), timestamp_ms=9), 100.0)
    assert scores.leading(159.0)[0][0].is_open
    assert not scores.leading(160.0)[0][0].is_open


def test_the_next_incident_begins_with_no_blame() -> None:
    scores = board()
    scores.note(incident(3.0, 1, cpu=1.0), 0.0)
    other = msgspec.structs.replace(incident(3.0, 2, disk=1.0), incident="a@2")
    scores.note(other, 1.0)
    assert scores.leading(1.0)[0][0].causes == (("disk", 1.0),)


def test_points_of_a_request_may_be_named_in_any_order() -> None:
    scores = board()
    scores.note(incident(3.0, 5, cpu=1.0), 0.0)
    scores.note(msgspec.structs.replace(verdict("a", 0.1), timestamp_ms=4), 0.0)
    (standing,), _ = scores.leading(0.0)
    assert (standing.newest_ms, standing.is_open) == (5, True)


def alert(kind: AlertKind, name: str = "a@5", timestamp_ms: int = 5) -> Alert:
    """Of an incident of `a` that opened at 5 ms."""
    return Alert(
        id=f"{name}:{kind}:0",
        kind=kind,
        incident=name,
        entity="a",
        opened_ms=5,
        timestamp_ms=timestamp_ms,
        score=3.0,
        severity=9.0,
        peak_score=3.0,
        peak_severity=9.0,
        points=1,
        anomalies=1,
        causes=[],
        reason="anomaly" if kind == "opened" else "silence",
        model="tiny/1",
        summary="",
    )


def test_an_entity_without_calibration_that_alerts_is_shown() -> None:
    """Its points name only incidents of which people are told."""
    scores = board()
    scores.note(msgspec.structs.replace(incident(3.0, 1, cpu=1.0), status="calibrating"), 0.0)
    (standing,), _ = scores.leading(300.0)
    assert (standing.is_open, standing.causes) == (True, (("cpu", 1.0),))


def test_an_incident_that_ends_without_a_point_ends() -> None:
    scores = board()
    scores.note(incident(3.0, 1, cpu=1.0), 0.0)
    for name in ("a@0", "a@1~silence"):
        scores.tell(alert("resolved", name), 1.0)
    assert scores.leading(300.0)[0][0].is_open, "that was another"
    scores.tell(alert("resolved", "a@1"), 300.0)
    assert scores.leading(359.0)[0][0].is_open
    assert not scores.leading(360.0)[0][0].is_open


def test_an_alert_makes_no_entity_known_and_opens_nothing() -> None:
    """Its points do, where they are scored."""
    scores = board()
    scores.tell(alert("opened"), 0.0)
    assert scores.leading(0.0) == ([], 0)
    scores.note(verdict("a", 0.5), 0.0)
    for name in ("a@5", "a@5~silence"):
        scores.tell(alert("opened", name), 0.0)
    assert not scores.leading(0.0)[0][0].is_open


def test_a_point_without_a_score_ends_an_incident_but_makes_no_entity_known() -> None:
    scores = board()
    unscored = msgspec.structs.replace(
        incident(0.0, 2, transition="resolved"), score=None, is_anomaly=False
    )
    scores.note(unscored, 0.0)
    assert scores.leading(0.0) == ([], 0)
    scores.note(incident(3.0, 1, cpu=1.0), 0.0)
    scores.note(unscored, 0.0)
    assert not scores.leading(61.0)[0][0].is_open


def test_entities_with_incidents_are_shown_before_higher_scores() -> None:
    scores = board(shown=2)
    for name, score in (("b", 9.0), ("c", 8.0)):
        scores.note(verdict(name, score), 0.0)
    scores.note(incident(1.5, 1, cpu=1.0), 0.0)
    assert [standing.entity for standing in scores.leading(1.0)[0]] == ["a", "b"]
