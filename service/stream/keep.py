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
    newest_ms = arrived.timestamps_ms[arrived.starts[1:] - 1].tolist()
    made = [member for member, outcome in enumerate(outcomes) if outcome is Outcome.OK]
    held = [
        Held(
            slot=-1,
            token=commits[member].new_token,
            seq=commits[member].seq,
            timestamp_ms=newest_ms[member],
            waiting=_waiting(commits[member], arrived.held[member]),
        )
        for member in made
    ]
    lane.arena.put_all([arrived.entities[member] for member in made], states[made], held)
    pairs = zip(commits, outcomes, strict=True)
    refused: Refused = {one.entity: code for one, code in pairs if code is not Outcome.OK}
    for entity in refused:
        lane.arena.drop(entity)
    return refused


def keep_waiting(lane: Lane, commits: Sequence[Commit], outcomes: Sequence[Outcome]) -> Refused:
    """Entities of which points only wait."""
    refused: Refused = {}
    for commit, outcome in zip(commits, outcomes, strict=True):
        held = lane.arena.get(commit.entity)
        if outcome is Outcome.OK and held is not None:
            held.token, held.rows, held.needs_snapshot = commit.new_token, b"", False
            held.waiting = _waiting(commit, held)
            held.dropped, held.ended = None, ()
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
