"""The caretaker: what happens to entities without a posted point, on the scoring thread."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import structlog

from service.errors import StoreUnavailable, UnknownEntity
from service.scoring.fold import States
from service.stream.arena import Held
from service.stream.commit import Commit, Outcome
from service.stream.lane import Lane
from service.stream.lanes import Lanes
from service.stream.orphans import give_up
from service.stream.path import Batch, PointPath, written_alerts
from service.stream.policy import closed
from service.stream.posted import Posted
from service.stream.restore import restore
from service.stream.serving import Serving
from service.stream.store import Store
from service.stream.ticks import (
    KEPT_SHARE,
    Pair,
    Ticked,
    accept,
    due_entities,
    fall_silent,
    forget_deadlines,
    forgotten,
    go_on,
    last_incident,
    postpone,
    sort_out,
    still_due,
)
from service.stream.waiting import Dropped, DropReason, waiting_points

log: structlog.stdlib.BoundLogger = structlog.get_logger()

OK = Outcome.OK
ATTEMPTS = 3  # at an entity that a replica goes on with at the same time


class Caretaker:
    """Ends silence, waiting, incidents that are normal, and entities."""

    def __init__(self, store: Store, lanes: Lanes, path: PointPath) -> None:
        self._store, self._lanes, self._path = store, lanes, path

    def tick(self, serving: Serving) -> Ticked:
        """Go on with entities whose deadline has passed. Raises StoreUnavailable."""
        self._lanes.retire(serving)
        self._store.commit_epoch = serving.epoch
        groups: dict[str, list[str]] = {}
        orphans: list[str] = []
        for entity in due_entities(self._store, self._path.clock_ms()):
            if (name := serving.bundle_of(entity)) is None:
                orphans.append(entity)
            else:
                groups.setdefault(name, []).append(entity)
        done = Ticked(0, self._give_up(orphans, "bundle_gone"), [])
        for name, entities in groups.items():
            try:
                now = self._care(serving, self._lanes.of(serving.folds[name]), entities)
            except StoreUnavailable:
                raise
            except Exception:
                log.exception("entities that are due cannot be looked at", bundle=name)
                continue
            done = Ticked(
                done.silent + now.silent, done.alerts + now.alerts, done.flushed + now.flushed
            )
        return done

    def forget(self, serving: Serving, entity: str) -> list[bytes]:
        """Delete what is kept of an entity; other replicas notice at its next point.

        What was open of it is told to end: the alerts that say so. Raises UnknownEntity.
        """
        self._lanes.drop(entity)
        if self._store.load([entity]) == [None]:
            raise UnknownEntity("no point of this entity is kept")
        alerts = self._told_last(serving, entity)
        self._lanes.drop(entity)
        self._store.delete([entity])
        forget_deadlines(self._store, [entity])
        return alerts

    def _told_last(self, serving: Serving, entity: str) -> list[bytes]:
        self._store.commit_epoch = serving.epoch
        if (name := serving.bundle_of(entity)) is None:
            return self._give_up([entity], "deleted")
        lane = self._lanes.of(serving.folds[name])
        (held,) = self._restored(serving, lane, [entity])
        return self._let_go(lane, [(entity, held)])

    def _let_go(self, lane: Lane, pairs: Sequence[Pair]) -> list[bytes]:
        """Of entities that are kept no longer: what is open ends."""
        pairs = [(entity, _dropping(held)) for entity, held in pairs]
        commits = [forgotten(lane, *pair) for pair in pairs]
        outcomes = self._store.commit(commits)
        self._path.count_dropped([held for _, held in pairs], outcomes)
        gone = [one.entity for one, code in zip(commits, outcomes, strict=True) if code is OK]
        for entity in gone:
            self._lanes.drop(entity)
        self._store.delete(gone)
        return written_alerts(commits, outcomes)

    def _give_up(self, entities: Sequence[str], reason: DropReason) -> list[bytes]:
        """Of what nothing scores any more: what is open ends."""
        given_up = give_up(self._store, entities)
        self._path.dropped_points[reason] += given_up.points
        return given_up.alerts

    def accept(self, serving: Serving, entity: str, incident: str) -> list[bytes]:
        """What its last incident shows is normal for an entity; the alerts that say so.

        Nothing changes where another incident opened since. Raises UnknownEntity.
        """
        lane = self._lanes.of(serving.fold_of(entity))
        self._store.commit_epoch = serving.epoch
        for _ in range(ATTEMPTS):
            lane.arena.drop(entity)
            (held,) = self._restored(serving, lane, [entity])
            if not held.token:
                lane.arena.drop(entity)
                raise UnknownEntity("no point of this entity is kept")
            if incident != last_incident(lane, entity, held):
                return []
            states, commit = accept(lane, entity, held, **self._times())
            alerts: list[bytes] = []
            outcomes = self._commit(lane, [(entity, held)], states, [commit], alerts=alerts)
            if outcomes == [OK]:
                return alerts
        raise StoreUnavailable("another replica keeps scoring this entity; try again")

    def _care(self, serving: Serving, lane: Lane, due: Sequence[str]) -> Ticked:
        for entity in due:
            lane.arena.drop(entity)  # another replica may know better than our memory
        held = zip(due, self._restored(serving, lane, due), strict=True)
        waits, pairs = list[str](), list[Pair]()
        for entity, one in held:  # sorted before the flush, after which nothing waits
            if one.waiting:
                waits.append(entity)
            else:
                pairs.append((entity, one))
        flushed = []
        if waits:
            nothing_new: dict[str, list[int]] = {entity: [] for entity in waits}
            batch = Batch(serving, lane, Posted.of([]), nothing_new, is_flush=True)
            flushed.append(self._path.attempt(batch, answers={}))
        times = self._times()
        now = np.array([times["now_ms"]])
        found = sort_out(
            lane, pairs, is_closed=lambda one: bool(closed(serving.policies.of(one), now).any())
        )
        forget_deadlines(self._store, found.over)
        postpone(self._store, found.later, times["now_ms"] + lane.silence_ms)
        lost, alerts = still_due(self._store, found.silent, times["now_ms"]), list[bytes]()
        self._commit(lane, found.anew, *go_on(lane, found.anew, **times), alerts=alerts)
        fallen = fall_silent(lane, found.falls, forget_ms=times["forget_ms"])
        outcomes = self._commit(lane, found.falls, *fallen, alerts=alerts)
        return Ticked(outcomes.count(OK), [*alerts, *self._let_go(lane, lost)], flushed)

    def _times(self) -> dict[str, int]:
        """Now, and when a silent entity is forgotten, by our clock."""
        now_ms, kept_ms = self._path.clock_ms(), 1000 * self._store.options.ttl_seconds
        return {"now_ms": now_ms, "forget_ms": now_ms + round(KEPT_SHARE * kept_ms)}

    def _restored(self, serving: Serving, lane: Lane, entities: Sequence[str]) -> list[Held]:
        tells = serving.policies.tells_calibrating
        return restore(lane, self._store, entities, lane_of=self._lanes.wrote, tells=tells)

    def _commit(
        self,
        lane: Lane,
        pairs: Sequence[Pair],
        states: States,
        commits: Sequence[Commit],
        *,
        alerts: list[bytes],
    ) -> list[Outcome]:
        """Commit states that no new point caused, and keep them; what is told joins `alerts`."""
        outcomes, held = self._store.commit(commits), [one for _, one in pairs]
        self._path.count_dropped(held, outcomes)
        alerts += written_alerts(commits, outcomes)
        for commit, state, one, outcome in zip(commits, states, held, outcomes, strict=True):
            lane.arena.drop(commit.entity)
            if outcome is OK:
                kept = Held(-1, commit.new_token, commit.seq, one.timestamp_ms, waiting=one.waiting)
                lane.arena.put(commit.entity, state, kept)
        if Outcome.OUTDATED in outcomes:
            self._path.follow()
        return outcomes


def _dropping(held: Held) -> Held:
    """The same, for a commit after which nothing waits; what is held here may stay as it is."""
    if not held.waiting:
        return held
    return replace(held, dropped=Dropped("deleted", waiting_points(held.waiting)))
