"""Promised and observed false incidents, against a plain count."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from random import Random

import msgspec
import pytest

from service.stream.commit import Commit, IncidentPart, Layout, Outcome
from service.stream.incident_messages import Label
from service.stream.incidents import Incidents, Said
from service.stream.messages import Alert
from service.stream.promise import ModelPromise, Promise, Promised
from service.stream.silence import silence_id
from service.stream.store import Store, StoreOptions

DAY_MS = 86_400_000
TODAY = 20_400
NOW_MS = TODAY * DAY_MS + 12_345_678
OPTIONS = StoreOptions(shards=3, durability="everysec")
MACHINES = frozenset(f"machine-{number}" for number in range(120))  # others are calibrating
IN_FORCE = {"fast/2": Promised(2.0, 60.0, MACHINES), "slow/1": Promised(0.5, 3_600.0, MACHINES)}
LABELS: tuple[Label | None, ...] = ("true", "false", "new_normal", None)
LAYOUT = Layout(row_bytes=1, capacity=2_000, digest="a1")


@dataclass(frozen=True)
class Day:
    """What one entity did on one day."""

    entity: str
    model: str
    day: int
    scored: int
    label: Label | None = None
    opened_ms: int = 0  # 0: no incident
    is_silence: bool = False

    @property
    def incident(self) -> str:
        name = f"{self.entity}@{self.opened_ms}"
        return silence_id(self.entity, self.opened_ms) if self.is_silence else name


@pytest.fixture
def store(redis_url: str) -> Iterator[Store]:
    with closing(Store(redis_url, OPTIONS)) as store:
        yield store


def told(one: Day) -> Alert:
    return Alert(
        id=f"{one.incident}:opened:0",
        kind="opened",
        incident=one.incident,
        entity=one.entity,
        opened_ms=one.opened_ms,
        timestamp_ms=one.opened_ms,
        score=1.5,
        severity=3.0,
        peak_score=1.5,
        peak_severity=3.0,
        points=1,
        anomalies=1,
        causes=[],
        reason="no_data" if one.is_silence else "anomaly",
        model=one.model,
        summary="",
    )


def written(store: Store, days: list[Day]) -> None:
    """Each as one commit of an entity of its own; then people label."""
    for number, one in enumerate(days):
        alert = msgspec.json.encode(told(one))
        part = IncidentPart(one.incident, one.opened_ms, alert, state=b"state", rows=b"r")
        change = Commit(
            entity=one.entity,
            expected_token=b"",
            new_token=number.to_bytes(16),
            seq=max(one.scored, 1),
            rows=b"r" * max(one.scored, 1),
            row_count=max(one.scored, 1),
            layout=LAYOUT,
            snapshot=b"s",
            incidents=(part,) if one.opened_ms else (),
            model=one.model,
            scored=one.scored,
            day=one.day,
        )
        assert store.commit([change]) == [Outcome.OK]
        if one.label is not None and one.opened_ms:
            Incidents(store).annotate(one.incident, Said(label=one.label))


def some_days(seed: int, count: int = 150) -> list[Day]:
    random = Random(seed)
    days = []
    for number in range(count):
        day = TODAY - random.randint(-1, 9)
        days.append(
            Day(
                entity=f"machine-{number}",
                model=random.choice(["fast/1", "fast/2", "slow/1", "gone/7"]),
                day=day,
                scored=random.choice([0, 1, 600]),
                label=random.choice(LABELS),
                opened_ms=random.choice([0, day * DAY_MS, (day + 1) * DAY_MS - 1]),
                is_silence=random.random() < 0.2,
            )
        )
    return days


def counted(days: list[Day], model: str, last: int) -> ModelPromise:
    """The same by counting, one condition after the other."""
    mine = [one for one in days if one.model == model and TODAY - last < one.day <= TODAY]
    opened = [one for one in mine if one.opened_ms and not one.is_silence]
    if model in IN_FORCE:
        opened = [one for one in opened if one.entity in MACHINES]
    labels = [one.label for one in opened]
    period = {"fast/1": 60.0, "fast/2": 60.0, "slow/1": 3_600.0}.get(model)
    points = sum(one.scored for one in mine)
    entity_days = None if period is None else points * period / 86_400
    return ModelPromise(
        model=model,
        promised={"fast/2": 2.0, "slow/1": 0.5}.get(model),
        entity_days=entity_days,
        incidents=len(opened),
        labelled_true=labels.count("true"),
        labelled_false=labels.count("false"),
        labelled_new_normal=labels.count("new_normal"),
        unlabelled=labels.count(None),
        false_rate=labels.count("false") / entity_days if entity_days else None,
        at_most=(len(opened) - labels.count("true")) / entity_days if entity_days else None,
        is_complete=True,
    )


@pytest.mark.parametrize("last", [1, 7, 90])
def test_the_report_is_a_plain_count(store: Store, last: int) -> None:
    days = some_days(seed=last)
    written(store, days)
    report = Promise(store).report(IN_FORCE, days=last, now_ms=NOW_MS)
    assert report == [counted(days, one.model, last) for one in report]
    models = {one.model for one in days if TODAY - last < one.day <= TODAY}
    named = {one.model for one in report}
    silent = {one.model for one in report if one.incidents == 0 and not one.entity_days}
    assert named >= models - silent
    assert named >= {*IN_FORCE}
    assert [one.model for one in report] == sorted(named)


def test_without_points_there_is_no_rate(store: Store) -> None:
    (fast, slow) = Promise(store).report(IN_FORCE, days=7, now_ms=NOW_MS)
    assert (fast.entity_days, fast.false_rate, fast.at_most) == (0.0, None, None)
    assert (slow.promised, slow.incidents, slow.is_complete) == (0.5, 0, True)


def test_a_shard_that_forgot_incidents_says_so(store: Store) -> None:
    days = [replace(one, is_silence=False) for one in some_days(seed=0, count=60)]
    store.options = replace(OPTIONS, incidents_kept=3)
    written(store, [replace(one, label=None) for one in days])
    promise = Promise(store)
    assert not promise.report(IN_FORCE, days=9, now_ms=NOW_MS)[0].is_complete
    later_ms = NOW_MS + 30 * DAY_MS
    assert promise.report(IN_FORCE, days=9, now_ms=later_ms)[0].is_complete
    store.options = replace(OPTIONS, incident_ttl_seconds=86_400)
    assert not promise.report(IN_FORCE, days=9, now_ms=later_ms)[0].is_complete


@pytest.mark.parametrize("max_counted", [4, 6])
def test_more_incidents_than_are_counted_are_told(store: Store, max_counted: int) -> None:
    day = Day("", "fast/2", TODAY, scored=1, opened_ms=TODAY * DAY_MS)
    written(store, [replace(day, entity=f"machine-{number}") for number in range(6)])
    promise = Promise(store, max_counted=max_counted)
    report = promise.report(IN_FORCE, days=7, now_ms=NOW_MS)
    assert (report[0].incidents, report[0].is_complete) == (max_counted, max_counted == 6)
