"""Drafts: what a batch changes, one commit per entity."""

import secrets
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from service.scoring.fold import Status
from service.scoring.incident import Transition
from service.stream.arena import Held
from service.stream.commit import TOKEN_BYTES, Commit, IncidentPart, snapshot_due
from service.stream.incident_messages import Opening
from service.stream.lane import Advanced, Arrived, Lane, Message
from service.stream.policy import Policy
from service.stream.reader import incident_id
from service.stream.rows import Rows
from service.stream.ruling import Ruling
from service.stream.sift import Sifted
from service.stream.silence import heard_again
from service.stream.tallies import DAY_MS


class _Moved(NamedTuple):
    """One entity and its new points."""

    entity: str
    held: Held
    number: int  # its place among those of the batch
    advanced: Advanced
    span: slice  # its rows among those of the batch
    packed: bytes  # these rows
    newest_ms: int  # of them
    scored: int  # of them
    is_eventful: bool  # one belongs to an incident
    messages: Sequence[Message]
    tells: bool
    was_silent: bool
    waiting: bytes | None  # None: what waited before
    lateness_ms: int
    policy: Policy

    @property
    def rows(self) -> Rows:
        """Its new rows."""
        return self.advanced.rows[self.span]

    @property
    def state(self) -> bytes:
        """After them."""
        state: bytes = self.advanced.states[self.number].tobytes()
        return state


def drafts(
    lane: Lane, arrived: Arrived, advanced: Advanced, *, ruling: Ruling, now_ms: int
) -> list[Commit]:
    """One change per entity with new points, with a new token each; `now_ms` is by our clock."""
    moved = _moved(lane, arrived, advanced, ruling)
    tokens = _tokens(len(arrived.entities))
    pairs = zip(moved, tokens, strict=True)
    return [_draft(lane, one, token=token, now_ms=now_ms) for one, token in pairs]


def drafts_of_waiting(lane: Lane, sifted: Sifted, *, ruling: Ruling, now_ms: int) -> list[Commit]:
    """The same for entities of which points came that only wait."""
    commits, due_ms = [], (now_ms + ruling.lateness_ms).tolist()
    for number in sifted.still:
        held = sifted.held[number]
        needs_snapshot = held.needs_snapshot or not held.token
        commit = draft_without_rows(
            lane,
            sifted.entities[number],
            held,
            snapshot=lane.arena.states([held]).tobytes() if needs_snapshot else None,
            due_ms=due_ms[number],
        )
        commits.append(msgspec.structs.replace(commit, waiting=sifted.waiting[number]))
    return commits


def draft_without_rows(
    lane: Lane,
    entity: str,
    held: Held,
    *,
    snapshot: bytes | None,
    told: Sequence[IncidentPart] = (),
    due_ms: int = 0,
) -> Commit:
    """A change of an entity that no new point causes."""
    return Commit(
        entity=entity,
        expected_token=held.token,
        new_token=secrets.token_bytes(TOKEN_BYTES),
        seq=held.seq,
        rows=held.rows,
        row_count=len(held.rows) // lane.layout.row_bytes,
        layout=lane.layout,
        snapshot=snapshot,
        alerts=tuple(part.alert for part in (*held.ended, *told)),
        incidents=(*held.ended, *told),
        due_ms=due_ms,
        waiting=b"" if held.dropped else None,
    )


def _moved(lane: Lane, arrived: Arrived, advanced: Advanced, ruling: Ruling) -> Iterator[_Moved]:
    members = arrived.members.tolist()
    lateness_ms = ruling.lateness_ms[members].tolist()
    starts, ends = arrived.starts[:-1].tolist(), arrived.starts[1:].tolist()
    newest_ms = arrived.timestamps_ms[arrived.starts[1:] - 1].tolist()
    was_silent = lane.arena.is_silent(arrived.held).tolist()
    is_scored = advanced.rows["status"] == Status.SCORED
    scored = np.add.reduceat(is_scored, starts, dtype=np.int64).tolist()
    is_eventful = np.logical_or.reduceat(advanced.rows["opened_ms"] > 0, starts).tolist()
    packed, row_bytes = advanced.rows.tobytes(), lane.layout.row_bytes
    for number, entity in enumerate(arrived.entities):
        yield _Moved(
            entity=entity,
            held=arrived.held[number],
            number=number,
            advanced=advanced,
            span=slice(starts[number], ends[number]),
            packed=packed[starts[number] * row_bytes : ends[number] * row_bytes],
            newest_ms=newest_ms[number],
            scored=scored[number],
            is_eventful=is_eventful[number],
            messages=advanced.messages[number],
            tells=bool(advanced.tells[number]),
            was_silent=was_silent[number],
            waiting=arrived.waiting[number],
            lateness_ms=lateness_ms[number],
            policy=ruling.policy(members[number]),
        )


def _tokens(count: int) -> Iterator[bytes]:
    """So many new ones, drawn at once."""
    drawn = secrets.token_bytes(TOKEN_BYTES * count)
    return (drawn[at : at + TOKEN_BYTES] for at in range(0, len(drawn), TOKEN_BYTES))


def _draft(lane: Lane, moved: _Moved, *, token: bytes, now_ms: int) -> Commit:
    entity, held, rows = moved.entity, moved.held, moved.held.rows + moved.packed
    seq = held.seq + len(moved.packed) // lane.layout.row_bytes
    is_due = held.needs_snapshot or snapshot_due(entity, held.seq, seq)
    told = _incidents(lane, moved) if moved.tells and moved.is_eventful else ()
    alerts = tuple(message.content for message in moved.messages if message.is_public)
    if moved.was_silent:  # then that was told, whoever scored it
        again = heard_again(
            entity, held.timestamp_ms, int(moved.rows["timestamp_ms"][0]), model=lane.reader.title
        )
        told, alerts = (again, *told), (again.alert, *alerts)  # of a backfill too: it was told
    told, alerts = (*held.ended, *told), (*(part.alert for part in held.ended), *alerts)
    return Commit(
        entity=entity,
        expected_token=held.token,
        new_token=token,
        seq=seq,
        rows=rows,
        row_count=len(rows) // lane.layout.row_bytes,
        layout=lane.layout,
        snapshot=moved.state if is_due else None,
        alerts=alerts,
        incidents=told,
        due_ms=_due_ms(lane, moved, now_ms),
        waiting=b"" if moved.waiting is None and held.dropped else moved.waiting,
        model=lane.reader.title,
        scored=moved.scored,
        day=moved.newest_ms // DAY_MS,
    )


def _due_ms(lane: Lane, moved: _Moved, now_ms: int) -> int:
    """When, by our clock, something happens without a further point; 0: nothing does.

    What waits is scored then, or the entity is silent.
    """
    if moved.held.waiting if moved.waiting is None else moved.waiting:
        return now_ms + moved.lateness_ms
    return now_ms + lane.silence_ms if lane.silence_ms and moved.tells else 0


def _incidents(lane: Lane, moved: _Moved) -> tuple[IncidentPart, ...]:
    """What these rows add to the records of incidents, for a replay later.

    A record begins with the state before the commit that opened it, and with all its rows.
    """
    parts, rows = [], moved.rows
    for opened_ms in np.unique(rows["opened_ms"][rows["opened_ms"] > 0]).tolist():
        places = np.flatnonzero(rows["opened_ms"] == opened_ms)
        opens = rows["transition"][places[0]] == Transition.OPENED
        told = [one.content for one in moved.messages if one.opened_ms == opened_ms]
        part = IncidentPart(
            incident=incident_id(moved.entity, opened_ms),
            opened_ms=opened_ms,
            alert=told[-1] if told else b"",
            state=_opening(lane, moved) if opens else b"",
            rows=rows[0 if opens else places[0] : places[-1] + 1].tobytes(),
        )
        parts.append(part)
    return tuple(parts)


def _opening(lane: Lane, moved: _Moved) -> bytes:
    budget = moved.policy.budget or lane.fold.budget
    policy = msgspec.structs.replace(moved.policy, budget=budget)
    return Opening(lane.arena.states([moved.held]).tobytes(), policy).encode()
