"""Keeping: the arena after a commit. Who was refused is forgotten, for somebody knows better."""

from collections.abc import Mapping, Sequence

from service.scoring.fold import States
from service.stream.arena import Held
from service.stream.commit import Commit, Outcome
from service.stream.lane import Arrived, Lane
from service.stream.rows import Rows

Refused = dict[str, Outcome]  # by entity, never OK


def keep(
    lane: Lane,
    arrived: Arrived,
    states: States,
    *,
    commits: Sequence[Commit],
    outcomes: Sequence[Outcome],
) -> Refused:
    """Entities with new points."""
    refused: Refused = {}
    newest_ms = arrived.timestamps_ms[arrived.starts[1:] - 1].tolist()
    for member, (commit, outcome) in enumerate(zip(commits, outcomes, strict=True)):
        if outcome is Outcome.OK:
            waiting = _waiting(commit, arrived.held[member])
            held = Held(-1, commit.new_token, commit.seq, newest_ms[member], waiting=waiting)
            lane.arena.put(commit.entity, states[member], held)
            continue
        lane.arena.drop(commit.entity)
        refused[commit.entity] = outcome
    return refused


def keep_waiting(lane: Lane, commits: Sequence[Commit], outcomes: Sequence[Outcome]) -> Refused:
    """Entities of which points only wait."""
    refused: Refused = {}
    for commit, outcome in zip(commits, outcomes, strict=True):
        held = lane.arena.get(commit.entity)
        if outcome is Outcome.OK and held is not None:
            held.token, held.rows, held.needs_snapshot = commit.new_token, b"", False
            held.waiting = _waiting(commit, held)
            held.drops_waiting, held.ended = False, ()
            continue
        lane.arena.drop(commit.entity)
        refused[commit.entity] = outcome
    return refused


def drop_moved(lane: Lane, logs: Mapping[str, tuple[bytes, Rows]], *, but: set[str]) -> Refused:
    """Entities of which only old points came, and whose log is not what the arena says.

    Another replica went on, or Redis came back without its last second.
    """
    moved: Refused = {}
    for entity, (token, _) in logs.items():
        held = lane.arena.get(entity)
        if entity not in but and (held is None or held.token != token):
            lane.arena.drop(entity)
            moved[entity] = Outcome.STALE
    return moved


def _waiting(commit: Commit, held: Held) -> bytes:
    return held.waiting if commit.waiting is None else commit.waiting
