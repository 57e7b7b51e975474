"""The store against a plain dictionary, driven by hypothesis: repeats, rivals, lost replies."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from redis import Redis

from service.stream.commit import Commit, Layout, Outcome
from service.stream.keys import alert_stream_key, entity_keys, shard_of
from service.stream.store import Store, StoreOptions
from service.stream.stored import Stored

ENTITIES = ("pump", "fan", "Förderband", "belt", "crane")
LAYOUTS = (Layout(3, 8, "old"), Layout(3, 8, "new"), Layout(5, 11, "wide"), Layout(2, 40, "long"))
OPTIONS = StoreOptions(shards=2, durability="everysec", entities_kept=4)
PER_SHARD = 2
MODELS = ("old/1", "new/2")
DAYS = range(20_000, 20_002)


@dataclass(frozen=True)
class Kept:
    """What the dictionary says of an entity: every row of its layout, and where they begin."""

    token: bytes
    seq: int
    epoch: int
    layout: Layout
    snapshot_seq: int
    snapshot: bytes
    rows: tuple[bytes, ...]
    waiting: bytes = b""

    def last(self, count: int) -> bytes:
        kept = self.rows[-self.layout.capacity :]
        return b"".join(kept[len(kept) - min(count, len(kept)) :])

    def stored(self) -> Stored:
        since = self.last(self.seq - self.snapshot_seq)
        header = self.token, self.seq, self.epoch, self.layout, self.snapshot_seq
        return Stored(*header, self.snapshot, since, self.waiting)


NEVER = Kept(b"", 0, 0, LAYOUTS[0], 0, b"", ())
Plan = st.fixed_dictionaries(
    {
        "row_count": st.integers(0, 13),
        "layout": st.sampled_from([LAYOUTS[0]] * 6 + list(LAYOUTS)),
        "wants_snapshot": st.booleans(),
        "alert_count": st.integers(0, 2),
        "waiting": st.sampled_from([None, None, b"", b"waits", bytes(300)]),
        "scored": st.integers(0, 13),
        "model": st.sampled_from(MODELS),
        "day": st.sampled_from(DAYS),
    }
)
WRITERS = st.sampled_from([0, 1])


class StoreMachine(RuleBasedStateMachine):
    def __init__(self, url: str) -> None:
        super().__init__()
        self.client = Redis.from_url(url)
        self.client.flushdb()
        self.stores = [Store(url, OPTIONS), Store(url, OPTIONS)]
        self.model: dict[str, Kept] = {}
        self.alerts: list[list[bytes]] = [[] for _ in range(OPTIONS.shards)]
        self.scored: Counter[tuple[int, str]] = Counter()
        self.known: list[dict[str, Kept]] = [{}, {}]  # what each writer believes
        self.lost: list[list[Commit]] = [[], []]  # sent, but the reply never came
        self.answered: list[Commit] = []
        self.drawn = 0

    def teardown(self) -> None:
        self.client.close()
        for store in self.stores:
            store.close()

    def _made(self, writer: int, entity: str, plan: dict[str, Any]) -> Commit:
        known, layout = self.known[writer].get(entity, NEVER), plan["layout"]
        count = plan["row_count"]
        seq = known.seq + count
        must = (
            known is NEVER or layout != known.layout or seq - known.snapshot_seq > layout.capacity
        )
        self.drawn += 1
        number = self.drawn
        return Commit(
            entity=entity,
            expected_token=known.token,
            new_token=number.to_bytes(16),
            seq=seq,
            rows=b"".join(self._row(number, i, layout) for i in range(count)),
            row_count=count,
            layout=layout,
            snapshot=b"snapshot %d" % number if must or plan["wants_snapshot"] else None,
            alerts=tuple(b"alert %d.%d" % (number, i) for i in range(plan["alert_count"])),
            waiting=plan["waiting"],
            scored=min(plan["scored"], count),
            model=plan["model"],
            day=plan["day"],
        )

    def _row(self, number: int, i: int, layout: Layout) -> bytes:
        return (number * 16 + i).to_bytes(8)[-layout.row_bytes :]

    def _expected(self, writer: int, commit: Commit) -> Outcome:
        """The rules of the commit, in their order, on the dictionary."""
        now = self.model.get(commit.entity, NEVER)
        if now.token == commit.new_token:
            return Outcome.OK
        if now.epoch > self.stores[writer].commit_epoch:
            return Outcome.OUTDATED
        if now.token != commit.expected_token:
            return Outcome.STALE
        if now is NEVER and self._neighbours(commit.entity) >= PER_SHARD:
            return Outcome.FULL
        self._apply(commit, now, epoch=self.stores[writer].commit_epoch)
        return Outcome.OK

    def _neighbours(self, entity: str) -> int:
        shard = shard_of(entity, OPTIONS.shards)
        return sum(shard_of(name, OPTIONS.shards) == shard for name in self.model)

    def _apply(self, commit: Commit, now: Kept, *, epoch: int) -> None:
        width = commit.layout.row_bytes
        new = tuple(commit.rows[i : i + width] for i in range(0, len(commit.rows), width))
        kept = now.rows if now.layout == commit.layout else ()
        made = Kept(
            token=commit.new_token,
            seq=commit.seq,
            epoch=epoch,
            layout=commit.layout,
            snapshot_seq=now.snapshot_seq if commit.snapshot is None else commit.seq,
            snapshot=now.snapshot if commit.snapshot is None else commit.snapshot,
            rows=kept + new,
            waiting=now.waiting if commit.waiting is None else commit.waiting,
        )
        self.model[commit.entity] = made
        self.alerts[shard_of(commit.entity, OPTIONS.shards)] += commit.alerts
        self.scored[commit.day, commit.model] += commit.scored

    def _send(self, writer: int, commits: list[Commit]) -> list[Outcome]:
        outcomes = self.stores[writer].commit(commits)
        assert outcomes == [self._expected(writer, commit) for commit in commits]
        return outcomes

    def _learn(self, writer: int, commits: list[Commit], outcomes: list[Outcome]) -> None:
        for commit, outcome in zip(commits, outcomes, strict=True):
            self.answered.append(commit)
            if outcome is Outcome.OK:
                self.known[writer][commit.entity] = self.model[commit.entity]

    @rule(writer=WRITERS, plans=st.dictionaries(st.sampled_from(ENTITIES), Plan, min_size=1))
    def commit(self, writer: int, plans: dict[str, dict[str, Any]]) -> None:
        commits = [self._made(writer, entity, plan) for entity, plan in plans.items()]
        self._learn(writer, commits, self._send(writer, commits))

    @rule(writer=WRITERS, entity=st.sampled_from(ENTITIES), plan=Plan)
    def commit_and_lose_the_reply(self, writer: int, entity: str, plan: dict[str, Any]) -> None:
        commits = [self._made(writer, entity, plan)]
        self._send(writer, commits)
        self.lost[writer] = commits

    @rule(writer=WRITERS)
    def resend_what_got_no_reply(self, writer: int) -> None:
        commits, self.lost[writer] = self.lost[writer], []
        self._learn(writer, commits, self._send(writer, commits))

    @rule(writer=WRITERS, choice=st.integers(0, 10**6))
    def repeat_an_old_commit(self, writer: int, choice: int) -> None:
        repeats = [each for each in self.answered if each.expected_token]
        if repeats:
            self._send(writer, [repeats[choice % len(repeats)]])

    @rule(writer=WRITERS)
    def load_everything(self, writer: int) -> None:
        self.known[writer] = dict(self.model)

    @rule(entity=st.sampled_from(ENTITIES))
    def delete(self, entity: str) -> None:
        self.stores[0].delete([entity])
        self.model.pop(entity, None)

    @rule(entity=st.sampled_from(ENTITIES))
    def expire(self, entity: str) -> None:
        self.client.delete(*entity_keys(entity, OPTIONS.shards))
        self.model.pop(entity, None)

    @rule(writer=WRITERS)
    def take_a_newer_epoch(self, writer: int) -> None:
        self.stores[writer].commit_epoch = 1 + max(each.commit_epoch for each in self.stores)

    @rule()
    def agree_on_the_epoch(self) -> None:
        newest = max(each.commit_epoch for each in self.stores)
        for each in self.stores:
            each.commit_epoch = newest

    @invariant()
    def everything_is_as_in_the_dictionary(self) -> None:
        expected = [self.model.get(entity) for entity in ENTITIES]
        assert self.stores[0].load(ENTITIES) == [kept and kept.stored() for kept in expected]
        for count, (entity, kept) in enumerate(zip(ENTITIES, expected, strict=True), start=7):
            found = self.stores[1].recent([entity], count)[0]
            assert found == (kept and (kept.stored(), kept.last(count)))

    @invariant()
    def who_is_kept_is_listed_and_nobody_else(self) -> None:
        listed: list[str] = []
        after = None
        while True:
            page = self.stores[0].entities(after, 2)
            listed += page.entities
            after = page.next
            if after is None:
                break
        assert sorted(listed) == sorted(self.model)
        assert len(self.model) <= self.stores[1].entity_count() <= OPTIONS.entities_kept

    @invariant()
    def points_are_counted_once(self) -> None:
        for day in DAYS:
            counted = {model: self.scored[day, model] for model in MODELS}
            expected = {model: points for model, points in counted.items() if points}
            assert self.stores[0].scored(range(day, day + 1)) == expected
        total = sum(self.stores[1].scored(DAYS).values())
        assert total == self.scored.total()

    @invariant()
    def the_alert_log_holds_each_alert_once_and_in_order(self) -> None:
        for shard, alerts in enumerate(self.alerts):
            entries: Any = self.client.xrange(alert_stream_key(shard))
            expected = [(b"%d-0" % n, alert) for n, alert in enumerate(alerts, start=1)]
            assert [(key, fields[b"alert"]) for key, fields in entries] == expected


@pytest.mark.slow
def test_the_store_is_a_dictionary(redis_url: str) -> None:
    class Machine(StoreMachine):
        def __init__(self) -> None:
            super().__init__(redis_url)

    limits = settings(
        max_examples=80,
        stateful_step_count=30,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Machine, settings=limits)
