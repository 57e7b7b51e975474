"""The scoreboard: which entities are exported to Prometheus, and the worst they did lately.

A scrape must not miss a spike between two scrapes, so what is shown is the maximum of a window of
60 to 120 seconds: the running minute and the one before it. An incident is shown while it is open
and a minute longer, with its causes as far as this replica has scored it; the time of the newest
point tells which of several replicas is to be believed.
"""

import heapq
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

import numpy as np

from service.stream.messages import Alert, Verdict
from service.web.last_incident import LastIncident, closed, incident_after

WINDOW_SECONDS: Final = 60.0
IDLE_SECONDS: Final = 900.0  # an entity without points for so long vanishes
AHEAD: Final = 1e9  # an incident goes before every score
MAX_BYTES: Final = 200_000  # of all names shown; each stands in up to seven series
LOOK_SECONDS: Final = 1.0  # a full board looks for idle entities so often at most


@dataclass(slots=True)
class _Entry:
    """The maxima of one entity in the window of its newest point, and in the one before."""

    model: str
    seen_seconds: float
    window: int
    score: float = 0.0
    severity: float = 0.0
    score_before: float = 0.0
    severity_before: float = 0.0
    newest_ms: int = -(2**63)  # older than every timestamp
    incident: LastIncident | None = None


@dataclass(frozen=True)
class Standing:
    """An entity as it is exported."""

    entity: str
    model: str
    score: float
    severity: float
    newest_ms: int  # timestamp of the newest point seen here
    is_open: bool  # or was, within the last minute
    causes: tuple[tuple[str, float], ...]  # dimension and mean share, largest first


class Scoreboard:
    """At most `max_entities` entities, of which `shown` are exported.

    Those with an open incident go first, then those with the highest score.
    """

    def __init__(self, *, shown: int, max_entities: int) -> None:
        self._shown = shown
        self._max_entities = max_entities
        self._entries: dict[str, _Entry] = {}
        self._turned_away: dict[int, float] = {}  # hash of a name that did not fit, last seen
        self._looked_seconds = -LOOK_SECONDS

    def note(self, verdict: Verdict, now_seconds: float) -> None:
        """Take a verdict into account; an entity is known from its first score on."""
        window, score = int(now_seconds / WINDOW_SECONDS), verdict.score
        entry = self._entries.get(verdict.entity)
        if entry is None:
            if score is None or not self._has_room(verdict.entity, now_seconds):
                return
            entry = _Entry(verdict.model or "", now_seconds, window)
            self._entries[verdict.entity] = entry
        if window != entry.window:
            _turn(entry, window)
        if score is not None and score > entry.score:
            entry.score = score
        if verdict.severity is not None and verdict.severity > entry.severity:
            entry.severity = verdict.severity
        entry.model, entry.seen_seconds = verdict.model or "", now_seconds
        if verdict.timestamp_ms > entry.newest_ms:  # a request may name its points in any order
            entry.newest_ms = verdict.timestamp_ms
            if verdict.incident is not None or entry.incident is not None:
                entry.incident = incident_after(verdict, entry.incident, now_seconds)

    def tell(self, alert: Alert, now_seconds: float) -> None:
        """Take an alert into account, whoever wrote it: some incidents end without a point."""
        entry = self._entries.get(alert.entity)
        incident = entry.incident if entry else None
        if entry and incident and incident.id == alert.incident and alert.kind == "resolved":
            entry.incident = closed(incident, now_seconds)

    def leading(self, now_seconds: float) -> tuple[list[Standing], int]:
        """Whom to export, by name where equal, and how many entities are not among them."""
        self._forget_idle(now_seconds)
        first = heapq.nsmallest(
            self._shown,
            (
                (_shown_incident(entry, now_seconds) is None, -_score(entry, now_seconds), name)
                for name, entry in self._candidates(now_seconds)
            ),
        )
        sizes = accumulate(_label_bytes(name) for *_, name in first)
        fitting = [name for (*_, name), size in zip(first, sizes, strict=True) if size <= MAX_BYTES]
        shown = [_standing(name, self._entries[name], now_seconds) for name in fitting]
        return shown, len(self._entries) - len(shown) + len(self._turned_away)

    def _candidates(self, now_seconds: float) -> list[tuple[str, _Entry]]:
        """Those among whom the first are; a page may not take as long as sorting all would."""
        names, entries = list(self._entries), list(self._entries.values())
        if not 0 < self._shown < len(names):
            return list(zip(names, entries, strict=True)) if self._shown else []
        window = int(now_seconds / WINDOW_SECONDS)
        scores = np.array([one.score for one in entries])
        before = [one.score_before if one.window == window else 0.0 for one in entries]
        scores = np.maximum(scores, before)
        scores[[_shown_incident(one, now_seconds) is not None for one in entries]] += AHEAD
        least = np.partition(scores, -self._shown)[-self._shown]
        return [(names[at], entries[at]) for at in np.flatnonzero(scores >= least).tolist()]

    def _has_room(self, entity: str, now_seconds: float) -> bool:
        """Whether one more fits; who does not is counted, up to as many as fit."""
        is_full = len(self._entries) >= self._max_entities
        if is_full and now_seconds - self._looked_seconds >= LOOK_SECONDS:
            self._forget_idle(now_seconds)
            is_full = len(self._entries) >= self._max_entities
        key = hash(entity)
        if not is_full:
            self._turned_away.pop(key, None)
        elif key in self._turned_away or len(self._turned_away) < self._max_entities:
            self._turned_away[key] = now_seconds
        return not is_full

    def _forget_idle(self, now_seconds: float) -> None:
        self._looked_seconds = now_seconds
        last_seconds = now_seconds - IDLE_SECONDS
        for name in [n for n, one in self._entries.items() if one.seen_seconds < last_seconds]:
            del self._entries[name]
        for key in [key for key, seen in self._turned_away.items() if seen < last_seconds]:
            del self._turned_away[key]


def _turn(entry: _Entry, window: int) -> None:
    """Begin a window; the one before counts only if it is the very last."""
    is_next = window == entry.window + 1
    entry.score_before = entry.score if is_next else 0.0
    entry.severity_before = entry.severity if is_next else 0.0
    entry.window, entry.score, entry.severity = window, 0.0, 0.0


def _shown_incident(entry: _Entry, now_seconds: float) -> LastIncident | None:
    incident = entry.incident
    return incident if incident and incident.is_shown(now_seconds) else None


def _score(entry: _Entry, now_seconds: float) -> float:
    is_running = int(now_seconds / WINDOW_SECONDS) == entry.window
    return max(entry.score, entry.score_before) if is_running else entry.score


def _severity(entry: _Entry, now_seconds: float) -> float:
    is_running = int(now_seconds / WINDOW_SECONDS) == entry.window
    return max(entry.severity, entry.severity_before) if is_running else entry.severity


def _label_bytes(name: str) -> int:
    """In a label, where quotes and backslashes are escaped."""
    return len(name.encode()) + name.count('"') + name.count("\\")


def _standing(entity: str, entry: _Entry, now_seconds: float) -> Standing:
    incident = _shown_incident(entry, now_seconds)
    return Standing(
        entity,
        entry.model,
        score=_score(entry, now_seconds),
        severity=_severity(entry, now_seconds),
        newest_ms=entry.newest_ms,
        is_open=incident is not None,
        causes=incident.causes() if incident is not None else (),
    )
