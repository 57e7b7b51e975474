"""A lane: one bundle at work. Holds its entities and folds their new points."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from service.scoring.fold import STATE_FORMAT, Fold, Points, States
from service.scoring.offline import lockstep
from service.stream.arena import Arena, Held
from service.stream.commit import Layout
from service.stream.explain import alert_of
from service.stream.reader import ALERT_KINDS, Reader
from service.stream.rows import Rows, pack, row_dtype
from service.stream.ruling import Ruling

IDEMPOTENT_ROWS = 128  # a repeat of one of the last so many points gets its first answer
MIN_WINDOW_ROWS = 32
MIN_SILENCE_SECONDS = 60.0


@dataclass(frozen=True, eq=False)
class Arrived:
    """New points of distinct entities: one entity after the other, each in order."""

    entities: list[str]
    held: list[Held]
    waiting: list[bytes | None]  # (entity,) what waits from now on; None: what waited before
    members: npt.NDArray[np.int64]  # (entity,) its number among all entities of the batch
    counts: list[int]  # points of each entity, at least one
    timestamps_ms: npt.NDArray[np.int64]  # (point,)
    values: npt.NDArray[np.float32]  # (point, dimension) minus the centre, NaN = missing
    is_quiet: npt.NDArray[np.bool_]  # (point,) of a backfill: nobody is told

    @cached_property
    def starts(self) -> npt.NDArray[np.int64]:
        """Where the points of each entity begin, and behind the last one their number."""
        return np.concatenate([[0], np.cumsum(self.counts, dtype=np.int64)])


class Message(NamedTuple):
    """An alert that a point causes."""

    opened_ms: int  # of its incident
    content: bytes
    is_end: bool
    is_public: bool  # False: of a backfill, only the record has it


@dataclass(frozen=True, eq=False)
class Advanced:
    """Entities after their new points, before the commit."""

    states: States  # (entity,)
    rows: Rows  # (point,) in the order they arrived
    messages: list[list[Message]]  # (entity,) in the order they were caused
    tells: npt.NDArray[np.bool_]  # (entity,) whether anything is told of it


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

    def advance(self, arrived: Arrived, ruling: Ruling) -> Advanced:
        """Fold all new points, one after the other per entity, side by side over entities."""
        steps = list(lockstep(arrived.counts))
        order = steps[0][1] if steps else np.zeros(0, np.int64)  # those with most points first
        states = self.arena.states([arrived.held[member] for member in order.tolist()])
        index = self.entity_indices(arrived.entities)
        may_tell = (index > 0) | ruling.tells_calibrating[arrived.members]
        before = states["entity"]["incident"]
        tells = np.zeros(len(order), bool)
        tells[order] = may_tell[order] | (before["is_open"] & before["is_public"])
        rows = np.zeros(len(arrived.values), self.row_dtype)
        messages: list[list[Message]] = [[] for _ in arrived.entities]
        for time, members in steps:
            at = arrived.starts[members] + time
            points = Points(index[members], arrived.timestamps_ms[at], arrived.values[at])
            rules = ruling.rules(arrived.members[members], points.timestamps_ms)
            rules = replace(rules, is_public=may_tell[members])
            verdicts = self.fold.advance(states[: len(members)], points, rules=rules)
            packed = np.zeros(len(members), self.row_dtype)
            pack(packed, points, verdicts, fold=self.fold)
            rows[at] = packed
            told = (verdicts.transition > 0) & verdicts.incident["is_public"]
            for position in np.flatnonzero(told).tolist():
                member = members[position]
                entity = arrived.entities[member]
                alert = alert_of(self.reader, entity, verdicts, position=position, rows=packed)
                opened_ms = int(verdicts.incident["opened_ms"][position])
                is_public = not arrived.is_quiet[at[position]]
                is_end = ALERT_KINDS[int(verdicts.transition[position])] == "resolved"
                messages[member].append(Message(opened_ms, alert, is_end, is_public))
        return Advanced(states[np.argsort(order)], rows, messages, tells)
