"""Silence: what is told about an entity of which no point comes any more, and when one does.

And what else is told that no point caused: of incidents that a person, or a new start, ends, and
of points that were lost.
"""

from typing import Final, NamedTuple

import msgspec
import numpy as np

from service.stream.commit import IncidentPart
from service.stream.incident_messages import Opening
from service.stream.messages import Alert, AlertKind, AlertReason
from service.stream.policy import Policy
from service.stream.reader import incident_id

SILENCE_MARK: Final = "~silence"
GAP_MARK: Final = "~gap"
NO_POINT_MARKS: Final = (SILENCE_MARK, GAP_MARK)  # ends of the names of what no point caused


def silence_id(entity: str, last_ms: int) -> str:
    """Name of an incident of silence; `last_ms` is the time of the last point before it."""
    return f"{incident_id(entity, last_ms)}{SILENCE_MARK}"


def heard_again(entity: str, last_ms: int, now_ms: int, *, model: str) -> IncidentPart:
    """What the first point after a silence tells; times are those of points."""
    told = _Told(silence_id(entity, last_ms), entity, last_ms, now_ms, model)
    return told.part("resolved", "data_again", f"points again, after {told.seconds:g} s")


def fallen_silent(
    entity: str, before: np.void, after: bytes, *, silence_ms: int, model: str
) -> tuple[IncidentPart, ...]:
    """What is told when no point came for so long: an open incident ends, one of silence opens.

    `before` is the state until then, `after` the snapshot that is kept with the new incident.
    """
    last_ms, incident = int(before["entity"]["timestamp_ms"]), before["entity"]["incident"]
    now_ms, opened_ms = last_ms + silence_ms, int(incident["opened_ms"])
    told = _Told(silence_id(entity, last_ms), entity, last_ms, now_ms, model)
    opened = told.part(
        "opened", "no_data", f"no point for {told.seconds:g} s", opening=Opening(after, Policy())
    )
    if not (incident["is_open"] and incident["is_public"]):
        return (opened,)
    ended = _Told(incident_id(entity, opened_ms), entity, opened_ms, now_ms, model)
    return ended.part("resolved", "silence", "no more points"), opened


def accepted(entity: str, before: np.void, *, model: str) -> tuple[IncidentPart, ...]:
    """What is told when a person calls the present normal: an open incident ends."""
    incident, now_ms = before["entity"]["incident"], int(before["entity"]["timestamp_ms"])
    if not (incident["is_open"] and incident["is_public"]):
        return ()
    opened_ms = int(incident["opened_ms"])
    ended = _Told(incident_id(entity, opened_ms), entity, opened_ms, now_ms, model)
    return (ended.part("resolved", "new_normal", "a person says that this is normal"),)


def abandoned(entity: str, opened_ms: int, now_ms: int, *, model: str) -> IncidentPart:
    """What is told of an open incident that `model`, which scores the entity now, cannot follow."""
    ended = _Told(incident_id(entity, opened_ms), entity, opened_ms, now_ms, model)
    return ended.part("resolved", "abandoned", "it cannot be followed any more")


def given_up(alert: Alert) -> IncidentPart:
    """What is told of an incident, or a silence, whose entity nothing scores any more.

    `alert` is the newest that was told of it.
    """
    ended = _Told(alert.incident, alert.entity, alert.opened_ms, alert.timestamp_ms, alert.model)
    return ended.part("resolved", "abandoned", "no bundle scores it any more")


def silence_abandoned(entity: str, last_ms: int, *, model: str) -> IncidentPart:
    """What is told of the silence of an entity that is kept no longer."""
    told = _Told(silence_id(entity, last_ms), entity, last_ms, last_ms, model)
    return told.part("resolved", "abandoned", "it is not kept any more")


def points_lost(entity: str, last_ms: int, *, lost: int, model: str) -> IncidentPart:
    """What is told of a gap: Redis had taken `lost` points behind the newest it still has."""
    told = _Told(incident_id(entity, last_ms) + GAP_MARK, entity, last_ms, last_ms, model)
    words = f"{lost} points behind this time are lost; unless they come again there is a gap"
    return told.part("resolved", "points_lost", words)


class _Told(NamedTuple):
    """An alert that no point caused: no score, no causes."""

    name: str
    entity: str
    opened_ms: int
    now_ms: int
    model: str

    @property
    def seconds(self) -> float:
        """Since it opened."""
        return (self.now_ms - self.opened_ms) / 1000

    def part(
        self, kind: AlertKind, reason: AlertReason, words: str, *, opening: Opening | None = None
    ) -> IncidentPart:
        """The alert, and what it adds to the record of its incident."""
        alert = Alert(
            id=f"{self.name}:{kind}:0",
            kind=kind,
            incident=self.name,
            entity=self.entity,
            opened_ms=self.opened_ms,
            timestamp_ms=self.now_ms,
            score=None,
            severity=None,
            peak_score=0.0,
            peak_severity=0.0,
            points=0,
            anomalies=0,
            causes=[],
            reason=reason,
            model=self.model,
            summary=f"{self.entity} {kind}: {words}",
        )
        content = msgspec.json.encode(alert)
        state = b"" if opening is None else opening.encode()
        return IncidentPart(self.name, self.opened_ms, content, state, b"")
