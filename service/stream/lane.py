"""A lane: one bundle at work. Holds its entities and folds their new points."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from service.scoring.fold import STATE_FORMAT, Fold, Points, States
from service.scoring.incident import Transition
from service.scoring.offline import lockstep
from service.stream.arena import Arena, Held
from service.stream.commit import TOKEN_BYTES, Commit, IncidentPart, Layout, snapshot_due
from service.stream.explain import alert_of
from service.stream.reader import Reader, incident_id
from service.stream.rows import Rows, pack, row_dtype
from service.stream.silence import SILENCE_MARK, heard_again

IDEMPOTENT_ROWS = 128  # a repeat of one of the last so many points gets its first answer
MIN_WINDOW_ROWS = 32
MIN_SILENCE_SECONDS = 60.0


@dataclass(frozen=True, eq=False)
class Arrived:
    """New points of distinct entities: one entity after the other, each in order."""

    entities: list[str]
    held: list[Held]
    counts: list[int]  # points of each entity, at least one
    timestamps_ms: npt.NDArray[np.int64]  # (point,)
    values: npt.NDArray[np.float32]  # (point, dimension) minus the centre, NaN = missing

    @cached_property
    def starts(self) -> npt.NDArray[np.int64]:
        """Where the points of each entity begin, and behind the last one their number."""
        return np.concatenate([[0], np.cumsum(self.counts, dtype=np.int64)])


@dataclass(frozen=True, eq=False)
class Advanced:
    """Entities after their new points, before the commit."""

    states: States  # (entity,)
    rows: Rows  # (point,) in the order they arrived
    alerts: list[dict[int, list[bytes]]]  # per entity, by the time their incident opened


class Lane:
    """Fold, arena and row layout of one bundle."""

    def __init__(self, fold: Fold, *, max_entities: int, silence_periods: float = 0.0) -> None:
        """`silence_periods` without a point are silence; 0: however long, none is."""
        manifest = fold.bundle.manifest
        silence_seconds = max(silence_periods * manifest.period_seconds, MIN_SILENCE_SECONDS)
        self.silence_ms = round(1000 * silence_seconds) if silence_periods else 0
        self.fold = fold
        self.arena = Arena(fold, max_entities=max_entities)
        self.window = max(manifest.window_length, manifest.memory_horizon, MIN_WINDOW_ROWS)
        self.reader = Reader(fold)
        self.row_dtype = row_dtype(fold)
        self.layout = Layout(
            self.row_dtype.itemsize,
            self.window + IDEMPOTENT_ROWS,
            f"{manifest.digest}.{STATE_FORMAT}",
        )

    def entity_indices(self, entities: Sequence[str]) -> npt.NDArray[np.int64]:
        """Rows of entities in the calibration, 0 for the pooled one."""
        known = self.fold.bundle.entity_indices
        return np.array([known.get(entity, 0) for entity in entities], np.int64)

    def center(self, entity_index: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """(batch, dimension) what was subtracted from the values of entities."""
        center: npt.NDArray[np.float64] = self.fold.bundle.calibration.center[entity_index]
        return center

    def advance(self, arrived: Arrived) -> Advanced:
        """Fold all new points, one after the other per entity, side by side over entities."""
        states = self.arena.states(arrived.held)
        index = self.entity_indices(arrived.entities)
        rows = np.zeros(len(arrived.values), self.row_dtype)
        alerts: list[dict[int, list[bytes]]] = [{} for _ in arrived.entities]
        for time, members in lockstep(arrived.counts):
            at = arrived.starts[members] + time
            points = Points(index[members], arrived.timestamps_ms[at], arrived.values[at])
            states[members], verdicts = self.fold.step(states[members], points)
            packed = np.zeros(len(members), self.row_dtype)
            pack(packed, points, verdicts, fold=self.fold)
            rows[at] = packed
            tells = (verdicts.transition > 0) & (points.entity_index > 0)  # calibrating is silent
            for position in np.flatnonzero(tells).tolist():
                member = members[position]
                entity = arrived.entities[member]
                alert = alert_of(self.reader, entity, verdicts, position=position, rows=packed)
                opened_ms = int(verdicts.incident["opened_ms"][position])
                alerts[member].setdefault(opened_ms, []).append(alert)
        return Advanced(states, rows, alerts)

    def commits(self, arrived: Arrived, advanced: Advanced, *, now_ms: int) -> list[Commit]:
        """One change per entity, with a new token each; `now_ms` by our clock."""
        is_eventful = bool((advanced.rows["opened_ms"] > 0).any())
        was_silent = self.arena.is_silent(arrived.held).tolist()
        known = self.fold.bundle.entity_indices
        return [
            self._commit(
                arrived,
                advanced,
                member,
                told=self._told(arrived, advanced, member, is_again=is_again)
                if entity in known and (is_eventful or is_again)
                else (),
                silent_at_ms=now_ms + self.silence_ms if self.silence_ms and entity in known else 0,
            )
            for member, (entity, is_again) in enumerate(
                zip(arrived.entities, was_silent, strict=True)
            )
        ]

    def _commit(
        self,
        arrived: Arrived,
        advanced: Advanced,
        member: int,
        *,
        told: tuple[IncidentPart, ...],
        silent_at_ms: int,
    ) -> Commit:
        entity, held, count = arrived.entities[member], arrived.held[member], arrived.counts[member]
        start, seq = arrived.starts[member], held.seq + count
        rows = held.rows + advanced.rows[start : start + count].tobytes()
        is_due = held.needs_snapshot or snapshot_due(entity, held.seq, seq)
        again = [part.alert for part in told if part.incident.endswith(SILENCE_MARK)]
        alerts = [alert for each in advanced.alerts[member].values() for alert in each]
        return Commit(
            entity=entity,
            expected_token=held.token,
            new_token=secrets.token_bytes(TOKEN_BYTES),
            seq=seq,
            rows=rows,
            row_count=len(rows) // self.layout.row_bytes,
            layout=self.layout,
            snapshot=advanced.states[member].tobytes() if is_due else None,
            alerts=(*again, *alerts),
            incidents=told,
            silent_at_ms=silent_at_ms,
        )

    def _told(
        self, arrived: Arrived, advanced: Advanced, member: int, *, is_again: bool
    ) -> tuple[IncidentPart, ...]:
        """What the new rows of an entity add to incidents; the end of its silence first."""
        entity, held, count = arrived.entities[member], arrived.held[member], arrived.counts[member]
        start = arrived.starts[member]
        rows = advanced.rows[start : start + count]
        parts = self._incidents(entity, held, rows, advanced.alerts[member])
        if not is_again:
            return parts
        now_ms, title = int(rows["timestamp_ms"][0]), self.reader.title
        return (heard_again(entity, held.timestamp_ms, now_ms, model=title), *parts)

    def _incidents(
        self, entity: str, held: Held, rows: Rows, alerts: Mapping[int, Sequence[bytes]]
    ) -> tuple[IncidentPart, ...]:
        """What these rows add to the records of incidents, for a replay later.

        A record begins with the state before the commit that opened it, and with all its rows.
        """
        parts = []
        for opened_ms in np.unique(rows["opened_ms"][rows["opened_ms"] > 0]).tolist():
            places = np.flatnonzero(rows["opened_ms"] == opened_ms)
            opens = rows["transition"][places[0]] == Transition.OPENED
            told = alerts.get(opened_ms, [])
            part = IncidentPart(
                incident=incident_id(entity, opened_ms),
                opened_ms=opened_ms,
                alert=told[-1] if told else b"",
                state=self.arena.states([held]).tobytes() if opens else b"",
                rows=rows[0 if opens else places[0] : places[-1] + 1].tobytes(),
            )
            parts.append(part)
        return tuple(parts)
