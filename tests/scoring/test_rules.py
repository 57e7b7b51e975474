"""What operators want to hear of: incidents under rules, against a slow version point by point."""

from collections import deque
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from hypothesis import given, strategies as st

from service.scoring.incident import Evidence, Transition, advance, end, incident_dtype
from service.scoring.rules import MAX_OPEN_WINDOW, PLAIN, Gate, Rules

DIMENSIONS = 2


@dataclass
class Wish:
    """Rules of one entity, in plain numbers."""

    count: int
    window: int
    resolve_after: int
    resolve_below: float
    cool_down_ms: int


@dataclass
class SlowIncident:
    """Opens when k of the last n are flagged, closes after so many quiet points in a row."""

    wish: Wish
    flags: deque[bool] = field(default_factory=lambda: deque(maxlen=MAX_OPEN_WINDOW))
    is_open: bool = False
    ended_ms: int = 0
    quiet: int = 0

    def advance(self, score: float, time_ms: int, *, is_closed: bool) -> str:
        wish, is_flagged = self.wish, score > 1
        self.flags.append(is_flagged)
        if self.is_open:
            self.quiet = self.quiet + 1 if score <= wish.resolve_below else 0
            if self.quiet < wish.resolve_after:
                return ""
            self.is_open, self.ended_ms, self.quiet = False, time_ms, 0
            return "RESOLVED"
        recent = list(self.flags)[-wish.window :]
        is_cool = time_ms >= self.ended_ms + wish.cool_down_ms
        if is_flagged and sum(recent) >= wish.count and is_cool and not is_closed:
            self.is_open = True
            return "OPENED"
        return ""


wishes = st.integers(1, MAX_OPEN_WINDOW).flatmap(
    lambda window: st.builds(
        Wish,
        count=st.integers(1, min(window, 6)),
        window=st.just(window),
        resolve_after=st.integers(1, 6),
        resolve_below=st.sampled_from([0.5, 0.9, 1.0]),
        cool_down_ms=st.sampled_from([0, 3, 20]),
    )
)
scores = st.sampled_from([0.0, 0.6, 0.95, 1.2, 1.5])  # never twice the peak: nothing is updated


def rules_of(chosen: list[Wish], is_closed: list[bool]) -> Rules:
    return Rules(
        open_count=np.array([wish.count for wish in chosen]),
        open_window=np.array([wish.window for wish in chosen]),
        resolve_after=np.array([wish.resolve_after for wish in chosen]),
        resolve_below=np.array([wish.resolve_below for wish in chosen]),
        cool_down_ms=np.array([wish.cool_down_ms for wish in chosen]),
        is_closed=np.array(is_closed),
        is_public=np.ones(len(chosen), bool),
    )


def evidence(
    score: list[float], *, time_ms: int, below: npt.NDArray[np.float64] | float = 1.0
) -> Evidence:
    values = np.array(score)
    return Evidence(
        timestamps_ms=np.full(len(score), time_ms),
        is_flagged=values > 1,
        score=values,
        severity=values,
        contributions=np.ones((len(score), DIMENSIONS), np.float32),
        holds=(values > below) & (values <= 1.0),
        is_public=np.ones(len(score), bool),
    )


@given(
    st.lists(wishes, min_size=2, max_size=2),
    st.lists(
        st.tuples(st.tuples(scores, scores), st.tuples(st.booleans(), st.booleans())), max_size=60
    ),
)
def test_incidents_under_rules_equal_the_slow_version(
    chosen: list[Wish], steps: list[tuple[tuple[float, float], tuple[bool, bool]]]
) -> None:
    incident = np.zeros(2, incident_dtype(DIMENSIONS))
    slow = [SlowIncident(wish) for wish in chosen]
    for time_ms, (score, is_closed) in enumerate(steps, start=100):
        rules = rules_of(chosen, list(is_closed))
        found = advance(
            incident,
            evidence(list(score), time_ms=time_ms, below=rules.resolve_below),
            max_points=np.inf,
            rules=rules,
        )
        expected = [
            one.advance(own, time_ms, is_closed=closed)
            for one, own, closed in zip(slow, score, is_closed, strict=True)
        ]
        assert [Transition(code).name if code else "" for code in found] == expected


@given(st.lists(scores, min_size=1, max_size=40))
def test_what_was_decided_is_not_decided_again_when_the_rules_change(path: list[float]) -> None:
    first, again = (np.zeros(1, incident_dtype(DIMENSIONS)) for _ in range(2))
    for time_ms, score in enumerate(path):
        one = evidence([score], time_ms=time_ms)
        decided = advance(first, one, max_points=np.inf)
        found = advance(
            again,
            one,
            max_points=np.inf,
            rules=rules_of([Wish(3, 9, 1, 1.0, 50)], [True]),
            decided=decided,
        )
        assert found.tolist() == decided.tolist()
    assert first.tobytes() == again.tobytes()


def test_an_incident_that_was_ended_starts_the_cool_down() -> None:
    incident, rules = (
        np.zeros(1, incident_dtype(DIMENSIONS)),
        rules_of([Wish(1, 1, 5, 1.0, 10)], [False]),
    )
    advance(incident, evidence([2.0], time_ms=100), max_points=np.inf, rules=rules)
    end(incident, np.array([105]))
    found = [
        int(advance(incident, evidence([2.0], time_ms=t), max_points=np.inf, rules=rules)[0])
        for t in (106, 114, 115)
    ]
    assert found == [0, 0, Transition.OPENED]


contributions = st.lists(st.floats(0, 9, width=32), min_size=3, max_size=3)
deviations = st.lists(st.floats(-9, 9) | st.just(np.nan), min_size=3, max_size=3)


@given(
    contributions,
    deviations,
    st.lists(st.tuples(st.booleans(), st.booleans(), st.floats(0, 5)), min_size=3, max_size=3),
)
def test_a_gate_wants_points_with_half_of_their_blame_on_what_is_asked_for(
    blame: list[float], deviation: list[float], asked: list[tuple[bool, bool, float]]
) -> None:
    up, down, least = (np.array([column]) for column in zip(*asked, strict=True))
    found = Gate(up, down, least).wants(np.array([deviation]), np.array([blame], np.float32))
    wanted = sum(
        float(np.float32(own))
        for own, moved, (is_up, is_down, smallest) in zip(blame, deviation, asked, strict=True)
        if abs(moved) >= smallest and (is_up if moved > 0 else is_down)
    )
    assert bool(found[0]) == (wanted >= 0.5 * sum(float(np.float32(own)) for own in blame))


def test_rules_of_some_entities_are_theirs() -> None:
    both = rules_of([Wish(1, 2, 3, 0.5, 4), Wish(2, 4, 6, 1.0, 8)], [False, True])
    second = both.at(np.array([1, 1]))
    assert second.open_count.tolist() == [2, 2]
    assert second.is_closed.tolist() == [True, True]
    assert PLAIN.at(np.array([0])) == PLAIN


def no_rules(scored: npt.NDArray[np.float64]) -> list[int]:
    incident = np.zeros(1, incident_dtype(DIMENSIONS))
    return [
        int(advance(incident, evidence([s], time_ms=t), max_points=np.inf)[0])
        for t, s in enumerate(scored.tolist())
    ]


def test_without_rules_one_point_opens_and_five_resolve() -> None:
    assert no_rules(np.array([0, 2, 0, 0, 0, 0, 0, 2])) == [0, 1, 0, 0, 0, 0, 3, 1]
