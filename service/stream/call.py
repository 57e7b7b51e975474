"""The call: commits in the form that commit.lua reads."""

from collections.abc import Sequence

import msgspec

from service.stream.commit import MAX_LAYOUT_BYTES, Commit, IncidentPart, Layout
from service.stream.keys import (
    alert_count_key,
    alert_stream_key,
    deadline_key,
    entity_index_key,
    entity_keys,
    incident_index_key,
    incident_keys,
    scored_key,
    shard_of,
)


def packed(
    commits: Sequence[Commit], shards: int, *, options: tuple[int, ...]
) -> tuple[list[bytes], list[bytes]]:
    """Keys and arguments of commit.lua; indices count from 1, as Lua does.

    `options` are the epoch, the seconds to live, the alerts kept, the incidents kept, their
    seconds to live, and the entities kept; what is kept is per shard.
    """
    call = _Call(commits, shards)
    plan = [call.planned(commit) for commit in commits]
    forms = [
        (layout.row_bytes, layout.capacity, layout.text.ljust(MAX_LAYOUT_BYTES, "\0"))
        for layout in call.layouts
    ]
    numbers = msgspec.msgpack.encode((*options, forms, call.counters(), plan))
    return call.keys, [numbers, *call.blobs, *call.rare]


class _Call:
    """A call as it is put together: what its commits share is sent once."""

    def __init__(self, commits: Sequence[Commit], shards: int) -> None:
        self._shards = shards
        self._rare_from = 2 + len(commits)
        self._shard_keys: dict[int, int] = {}
        self._alert_keys: dict[int, int] = {}
        self._tallies: dict[tuple[int, int, str], int] = {}
        self.keys = [key for commit in commits for key in entity_keys(commit.entity, shards)]
        self.blobs = [commit.new_token + commit.expected_token + commit.rows for commit in commits]
        self.layouts: dict[Layout, int] = {}
        self.rare: list[bytes] = []

    def planned(self, commit: Commit) -> tuple[object, ...]:
        """Numbers of a commit. An empty table costs Lua time."""
        shard = shard_of(commit.entity, self._shards)
        if shard not in self._shard_keys:
            self._shard_keys[shard] = len(self.keys) + 1
            self.keys += (deadline_key(shard), entity_index_key(shard))
        return (
            commit.seq,
            commit.row_count,
            self.layouts.setdefault(commit.layout, len(self.layouts) + 1),
            self._shard_keys[shard],
            self._tally(commit, shard) if commit.scored else 0,
            commit.scored,
            commit.due_ms,
            self._rare(commit, shard) if commit.is_rare else False,
        )

    def counters(self) -> list[tuple[int, str]]:
        """Key and model of each tally."""
        first = len(self.keys) + 1
        self.keys += [scored_key(shard, day) for shard, day, _ in self._tallies]
        return [(first + number, model) for number, (_, _, model) in enumerate(self._tallies)]

    def _rare(self, commit: Commit, shard: int) -> tuple[object, ...]:
        """Where the bytes are that only some commits have, and what they are made of."""
        if commit.alerts and shard not in self._alert_keys:
            self._alert_keys[shard] = len(self.keys) + 1
            self.keys += (alert_stream_key(shard), alert_count_key(shard))
        parts = b"".join(
            part.alert + part.worst + part.state + part.rows for part in commit.incidents
        )
        return (
            self._added(commit.snapshot),
            self._added(commit.waiting),
            self._added(b"".join(commit.alerts) or None),
            self._added(parts or None),
            self._alert_keys[shard] if commit.alerts else 0,
            [len(alert) for alert in commit.alerts] or False,
            [self._record(commit, part, shard) for part in commit.incidents] or False,
        )

    def _added(self, blob: bytes | None) -> int:
        if blob is None:
            return 0
        self.rare.append(blob)
        return self._rare_from + len(self.rare) - 1

    def _tally(self, commit: Commit, shard: int) -> int:
        tally = (shard, commit.day, commit.model)
        return self._tallies.setdefault(tally, len(self._tallies) + 1)

    def _record(self, commit: Commit, part: IncidentPart, shard: int) -> tuple[object, ...]:
        """Where the keys of an incident are, its name, and how long its parts are."""
        at = len(self.keys) + 1
        self.keys += incident_keys(commit.entity, part.incident, self._shards)
        self.keys.append(incident_index_key(shard))
        parts = (part.alert, part.worst, part.state, part.rows)
        return at, part.incident, part.opened_ms, *map(len, parts)
