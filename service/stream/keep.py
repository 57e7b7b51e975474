"""Keeping: the arena after a commit. Who was refused is forgotten, for somebody knows better."""

from collections.abc import Mapping, Sequence

from service.scoring.fold import States
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
    newest_ms = arrived.timestamps_ms[arrived.starts[1:] - 1].tolist()
    refused: Refused = {}
    for held, commit, outcome, ms in zip(arrived.held, commits, outcomes, newest_ms, strict=True):
        if outcome is Outcome.OK:
            held.committed(commit.new_token, commit.seq, ms, waiting=commit.waiting)
        else:
            refused[commit.entity] = outcome
    lane.arena.write(arrived.held, states)
    for entity in refused:
        lane.arena.drop(entity)
    return refused


def keep_waiting(lane: Lane, commits: Sequence[Commit], outcomes: Sequence[Outcome]) -> Refused:
    """Entities of which points only wait."""
    refused: Refused = {}
    for commit, outcome in zip(commits, outcomes, strict=True):
        held = lane.arena.get(commit.entity)
        if outcome is Outcome.OK and held is not None:
            held.committed(commit.new_token, held.seq, held.timestamp_ms, waiting=commit.waiting)
        else:
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
