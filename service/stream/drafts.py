"""Drafts: what a batch changes, one commit per entity."""

import secrets
from collections.abc import Iterator, Sequence

import msgspec
import numpy as np

from service.scoring.incident import Transition
from service.scoring.verdict import SCORED
from service.stream.arena import Held
from service.stream.commit import TOKEN_BYTES, Commit, IncidentPart, snapshot_due
from service.stream.incident_messages import Opening
from service.stream.lane import Advanced, Arrived, Lane
from service.stream.reader import incident_id
from service.stream.ruling import Ruling
from service.stream.sift import Sifted
from service.stream.silence import heard_again
from service.stream.tallies import DAY_MS


def drafts(
    lane: Lane, arrived: Arrived, advanced: Advanced, *, ruling: Ruling, now_ms: int
) -> list[Commit]:
    """One change per entity with new points, with a new token each; `now_ms` is by our clock."""
    tokens = _tokens(len(arrived.entities))
    moved = _Moved(lane, arrived, advanced, ruling, now_ms=now_ms)
    return [moved.draft(number, token) for number, token in enumerate(tokens)]


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


class _Moved:
    """Entities and their new points; lists are (entity,), because each becomes a commit."""

    def __init__(
        self, lane: Lane, arrived: Arrived, advanced: Advanced, ruling: Ruling, *, now_ms: int
    ) -> None:
        self._lane, self._arrived, self._advanced, self._ruling = lane, arrived, advanced, ruling
        self._now_ms = now_ms
        rows, starts = advanced.rows, arrived.starts
        self._starts: list[int] = starts.tolist()
        self._packed = rows.tobytes()
        newest_ms = arrived.timestamps_ms[starts[1:] - 1]
        self._days: list[int] = (newest_ms // DAY_MS).tolist()
        self._lateness_ms: list[int] = ruling.lateness_ms[arrived.members].tolist()
        self._was_silent: list[bool] = lane.arena.is_silent(arrived.held).tolist()
        is_scored = rows["status"] == SCORED
        self._scored: list[int] = np.add.reduceat(is_scored, starts[:-1], dtype=np.int64).tolist()
        is_eventful = np.logical_or.reduceat(rows["opened_ms"] > 0, starts[:-1])
        self._is_recorded: list[bool] = (is_eventful & advanced.tells).tolist()

    def draft(self, number: int, token: bytes) -> Commit:
        """The change of one of them."""
        lane, held = self._lane, self._arrived.held[number]
        entity, row_bytes = self._arrived.entities[number], lane.layout.row_bytes
        first, end = self._starts[number], self._starts[number + 1]
        rows, seq = self._packed[first * row_bytes : end * row_bytes], held.seq + end - first
        is_due = held.needs_snapshot or snapshot_due(entity, held.seq, seq)
        waiting = self._arrived.waiting[number]
        told, alerts = self._told(number)
        return Commit(
            entity=entity,
            expected_token=held.token,
            new_token=token,
            seq=seq,
            rows=held.rows + rows,
            row_count=len(held.rows) // row_bytes + end - first,
            layout=lane.layout,
            snapshot=self._advanced.states[number].tobytes() if is_due else None,
            alerts=alerts,
            incidents=told,
            due_ms=self._due_ms(number),
            waiting=b"" if waiting is None and held.dropped else waiting,
            model=lane.reader.title,
            scored=self._scored[number],
            day=self._days[number],
        )

    def _told(self, number: int) -> tuple[tuple[IncidentPart, ...], tuple[bytes, ...]]:
        """What is added to records of incidents, and the alerts."""
        held, messages = self._arrived.held[number], self._advanced.messages[number]
        told = self._incidents(number) if self._is_recorded[number] else ()
        alerts = tuple([one.content for one in messages if one.is_public]) if messages else ()
        if self._was_silent[number]:  # then that was told, whoever scored it
            first_ms = int(self._arrived.timestamps_ms[self._starts[number]])
            entity, title = self._arrived.entities[number], self._lane.reader.title
            again = heard_again(entity, held.timestamp_ms, first_ms, model=title)
            told, alerts = (again, *told), (again.alert, *alerts)  # of a backfill too: it was told
        if held.ended:
            told, alerts = (*held.ended, *told), (*(part.alert for part in held.ended), *alerts)
        return told, alerts

    def _due_ms(self, number: int) -> int:
        """When, by our clock, something happens without a further point; 0: nothing does.

        What waits is scored then, or the entity is silent.
        """
        waiting = self._arrived.waiting[number]
        if self._arrived.held[number].waiting if waiting is None else waiting:
            return self._now_ms + self._lateness_ms[number]
        silence_ms = self._lane.silence_ms
        return self._now_ms + silence_ms if silence_ms and self._advanced.tells[number] else 0

    def _incidents(self, number: int) -> tuple[IncidentPart, ...]:
        """What these rows add to the records of incidents, for a replay later.

        A record begins with the state before the commit that opened it, and with all its rows.
        """
        rows = self._advanced.rows[self._starts[number] : self._starts[number + 1]]
        entity, parts = self._arrived.entities[number], []
        for opened_ms in np.unique(rows["opened_ms"][rows["opened_ms"] > 0]).tolist():
            places = np.flatnonzero(rows["opened_ms"] == opened_ms)
            opens = rows["transition"][places[0]] == Transition.OPENED
            messages = self._advanced.messages[number]
            told = [one for one in messages if one.opened_ms == opened_ms]
            rises = [one.content for one in told if not one.is_end]
            part = IncidentPart(
                incident=incident_id(entity, opened_ms),
                opened_ms=opened_ms,
                alert=told[-1].content if told else b"",
                state=self._opening(number) if opens else b"",
                rows=rows[0 if opens else places[0] : places[-1] + 1].tobytes(),
                worst=rises[-1] if rises else b"",
            )
            parts.append(part)
        return tuple(parts)

    def _opening(self, number: int) -> bytes:
        policy = self._ruling.policy(int(self._arrived.members[number]))
        policy = msgspec.structs.replace(policy, budget=policy.budget or self._lane.fold.budget)
        return Opening(
            self._lane.arena.states([self._arrived.held[number]]).tobytes(), policy
        ).encode()


def _tokens(count: int) -> Iterator[bytes]:
    """So many new ones, drawn at once."""
    drawn = secrets.token_bytes(TOKEN_BYTES * count)
    return (drawn[at : at + TOKEN_BYTES] for at in range(0, len(drawn), TOKEN_BYTES))
