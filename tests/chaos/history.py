"""The history of a run: what was asked and answered, and whether what is kept agrees with it."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

import httpx2
import msgspec
import numpy as np
import numpy.typing as npt

from service.scoring.bundle import load_bundle
from service.scoring.fold import Fold
from service.scoring.incident import Transition
from service.scoring.offline import Scored, score_series
from service.stream.messages import Alert, EntityView
from tests.chaos.plant import Plant
from tests.system.replays import alert_log

ROWS: Final = 128  # that the service always has of an entity
UNANSWERED: Final = 0  # in the place of an HTTP status
KINDS: Final = {
    Transition.OPENED: "opened",
    Transition.UPDATED: "updated",
    Transition.RESOLVED: "resolved",
    Transition.NEW_NORMAL: "resolved",
}
Told = tuple[str, str, int]  # entity, kind, timestamp_ms


class Seen(msgspec.Struct, frozen=True, gc=False):
    """What a verdict says that the offline replay says too."""

    entity: str
    timestamp_ms: int
    status: str
    score: float | None
    severity: float | None
    p_value: float | None
    is_anomaly: bool

    def agrees(self, other: Self) -> bool:
        return msgspec.structs.replace(self, status="") == msgspec.structs.replace(other, status="")


class Verdicts(msgspec.Struct):
    """What `POST /v1/points` answers."""

    verdicts: list[Seen]


@dataclass(frozen=True)
class Attempt:
    """One request, answered or not."""

    ended: float  # time.monotonic()
    seconds: float
    status: int
    retry_after: str | None
    detail: str | None  # of a refusal


@dataclass
class History:
    """Written by the threads of a load; every entity belongs to one of them."""

    attempts: list[Attempt] = field(default_factory=list)
    seen: defaultdict[str, dict[int, Seen]] = field(default_factory=lambda: defaultdict(dict))
    answered: dict[tuple[str, int], float] = field(default_factory=dict)  # time.monotonic()
    repeated: int = 0  # points that had been kept although nobody had acknowledged them
    started: float = field(default_factory=time.monotonic)

    def acknowledge(self, verdicts: Iterable[Seen]) -> None:
        now = time.monotonic()
        for verdict in verdicts:
            self.answered.setdefault((verdict.entity, verdict.timestamp_ms), now)
            self.repeated += verdict.status == "duplicate"
            assert verdict.status in ("scored", "calibrating", "warming", "duplicate"), verdict
            known = self.seen[verdict.entity].setdefault(verdict.timestamp_ms, verdict)
            assert verdict.agrees(known), "two answers for one point"

    @property
    def acknowledged(self) -> int:
        """Points."""
        return sum(map(len, self.seen.values()))

    @property
    def accepted(self) -> list[Attempt]:
        return [attempt for attempt in self.attempts if attempt.status == 200]

    @property
    def refused(self) -> list[Attempt]:
        return [one for one in self.attempts if one.status not in (200, UNANSWERED)]

    @property
    def unanswered(self) -> list[Attempt]:
        return [attempt for attempt in self.attempts if attempt.status == UNANSWERED]

    def first_accepted_after(self, moment: float) -> float | None:
        """Seconds until a request was acknowledged that was answered after this moment."""
        return min(
            (one.ended - moment for one in self.accepted if one.ended > moment), default=None
        )


def assert_refused_politely(attempts: Iterable[Attempt]) -> None:
    """Come back later, and when."""
    for attempt in attempts:
        assert attempt.status in (429, 503), attempt
        assert attempt.retry_after is not None, attempt
        assert int(attempt.retry_after) >= 1, attempt


@dataclass(frozen=True)
class Checked:
    """What a history was found to be."""

    acknowledged: int
    lost: int
    alerts: int


Log = Mapping[str, Sequence[bytes]]  # alerts of each entity


def check(history: History, plant: Plant, bundles: Path, *, url: str, redis_url: str) -> Checked:
    """Nothing acknowledged is lost or doubled, and all is as the offline replay has it."""
    return check_with(history, plant, bundles, url=url, log_of=lambda: alert_log(redis_url))


def check_with(
    history: History, plant: Plant, bundles: Path, *, url: str, log_of: Callable[[], Log]
) -> Checked:
    """The same, wherever the alerts are kept."""
    names = sorted(history.seen)
    series = [plant.chosen(name, sorted(history.seen[name])) for name in names]
    offline = score_series(Fold(load_bundle(bundles / "tiny")), series)
    lost = 0
    with httpx2.Client(base_url=url, timeout=30) as client:
        for name, scored in zip(names, offline, strict=True):
            times = sorted(history.seen[name])
            answered = [history.seen[name][time] for time in times]
            assert_scored_as_offline(answered, scored)
            view = entity_view(client, name)
            lost += max(0, len(times) - view.points)
            assert_kept(view, times, scored)
    expected = {
        (name, KINDS[told.transition], int(one.timestamps_ms[told.row]))
        for name, one, scored in zip(names, series, offline, strict=True)
        for told in scored.told
    }
    alerts = assert_told_once(log_of(), names, expected)
    assert lost == 0
    return Checked(history.acknowledged, lost, alerts)


def entity_view(client: httpx2.Client, name: str) -> EntityView:
    answer = client.get(f"/v1/entities/{name}", params={"rows": ROWS}).raise_for_status()
    return msgspec.json.decode(answer.content, type=EntityView)


def assert_scored_as_offline(answered: Sequence[Seen], scored: Scored) -> None:
    """Bit for bit."""
    for field_name in ("score", "severity", "p_value"):
        found = bits([getattr(seen, field_name) for seen in answered])
        expected = getattr(scored, field_name)[: len(found)]
        assert found.tobytes() == expected.tobytes(), (answered[0].entity, field_name)
    assert [seen.is_anomaly for seen in answered] == scored.is_anomaly.tolist()


def assert_kept(view: EntityView, times: Sequence[int], scored: Scored) -> None:
    """All of the acknowledged points, nothing else; the newest rows have no hole."""
    assert view.points == len(times), f"{view.entity}: {len(times)} acknowledged"
    rows = len(view.window)
    assert [row.timestamp_ms for row in view.window] == list(times[-rows:])
    assert rows == min(ROWS, len(times))
    found = bits([row.score for row in view.window])
    assert found.tobytes() == scored.score[-rows:].tobytes(), view.entity


def assert_told_once(by_entity: Log, entities: Iterable[str], expected: set[Told]) -> int:
    """The alert log has every alert that the replay has, in order, each once; how many."""
    encoded = [alert for entity in entities for alert in by_entity.get(entity, [])]
    log = [msgspec.json.decode(one, type=Alert) for one in encoded]
    assert len({alert.id for alert in log}) == len(log)
    told = [(alert.entity, alert.kind, alert.timestamp_ms) for alert in log]
    assert len(set(told)) == len(told)
    assert set(told) == expected
    return len(log)


def bits(numbers: Sequence[float | None]) -> npt.NDArray[np.float64]:
    return np.array([np.nan if one is None else one for one in numbers], np.float64)
