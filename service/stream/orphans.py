"""Orphans: entities that no bundle scores any more. What was told of them ends, and so do they."""

import secrets
from collections.abc import Sequence
from typing import NamedTuple

from service.stream.commit import TOKEN_BYTES, Commit, Outcome
from service.stream.messages import Alert
from service.stream.silence import given_up
from service.stream.store import Store
from service.stream.stored import Stored
from service.stream.ticks import forget_deadlines
from service.stream.unended import unended
from service.stream.waiting import waiting_points


class GivenUp(NamedTuple):
    """What became of orphans."""

    alerts: list[bytes]  # that were written
    points: int  # that waited, and will never be scored


def give_up(store: Store, entities: Sequence[str]) -> GivenUp:
    """End what is open of entities, and forget those of which anything was; calm ones are kept.

    Who comes back to a bundle begins anew then. Nobody waits for them. Raises StoreUnavailable.
    """
    if not entities or store.epoch() > store.commit_epoch:  # somebody may score them now
        return GivenUp([], 0)
    told = unended(store, entities)
    left = {
        entity: stored
        for entity, stored in zip(entities, store.load(entities), strict=True)
        if stored is not None and (stored.waiting or entity in told)
    }
    commits = [_last(entity, one, told.get(entity, ())) for entity, one in left.items()]
    outcomes = store.commit(commits)
    made = [one for one, outcome in zip(commits, outcomes, strict=True) if outcome is Outcome.OK]
    store.delete([one.entity for one in made])
    forget_deadlines(store, entities)
    return GivenUp(
        alerts=[alert for one in made for alert in one.alerts],
        points=sum(waiting_points(left[one.entity].waiting) for one in made),
    )


def _last(entity: str, stored: Stored, told: Sequence[Alert]) -> Commit:
    ends = tuple(given_up(alert) for alert in told)
    return Commit(
        entity=entity,
        expected_token=stored.token,
        new_token=secrets.token_bytes(TOKEN_BYTES),
        seq=stored.seq,
        rows=b"",
        row_count=0,
        layout=stored.layout,
        snapshot=None,
        alerts=tuple(part.alert for part in ends),
        incidents=ends,
        waiting=b"",
    )
