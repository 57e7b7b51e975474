"""The scoreboard: which entities are exported to Prometheus, and the worst they did lately.

A scrape must not miss a spike between two scrapes, so what is shown is the maximum of a window of
60 to 120 seconds: the running minute and the one before it.
"""

import heapq
from dataclasses import dataclass
from typing import Final

from service.stream.messages import Verdict

WINDOW_SECONDS: Final = 60.0
IDLE_SECONDS: Final = 900.0  # an entity without points for so long vanishes
LOOK_SECONDS: Final = 1.0  # a full board looks for idle entities so often at most


@dataclass(slots=True)
class _Entry:
    """The maxima of one entity in the window of its newest point, and in the one before."""

    model: str
    seen_seconds: float
    window: int
    score: float
    severity: float
    score_before: float
    severity_before: float


@dataclass(frozen=True)
class Standing:
    """An entity as it is exported."""

    entity: str
    model: str
    score: float
    severity: float


class Scoreboard:
    """Scores of at most `max_entities` entities, of which the `shown` highest are exported."""

    def __init__(self, *, shown: int, max_entities: int) -> None:
        self._shown = shown
        self._max_entities = max_entities
        self._entries: dict[str, _Entry] = {}
        self._turned_away: dict[int, float] = {}  # hash of a name that did not fit, last seen
        self._looked_seconds = -LOOK_SECONDS

    def note(self, verdict: Verdict, now_seconds: float) -> None:
        """Take a scored verdict into account."""
        score, severity = verdict.score or 0.0, verdict.severity or 0.0
        window = int(now_seconds / WINDOW_SECONDS)
        entry = self._entries.get(verdict.entity)
        if entry is None:
            if self._has_room(verdict.entity, now_seconds):
                model = verdict.model or ""
                new = _Entry(model, now_seconds, window, score, severity, 0.0, 0.0)
                self._entries[verdict.entity] = new
            return
        if window != entry.window:
            is_next = window == entry.window + 1
            entry.score_before = entry.score if is_next else 0.0
            entry.severity_before = entry.severity if is_next else 0.0
            entry.window, entry.score, entry.severity = window, score, severity
        entry.score = max(entry.score, score)
        entry.severity = max(entry.severity, severity)
        entry.model, entry.seen_seconds = verdict.model or "", now_seconds

    def leading(self, now_seconds: float) -> tuple[list[Standing], int]:
        """The highest scores, by name where equal, and how many entities are not among them."""
        self._forget_idle(now_seconds)
        window = int(now_seconds / WINDOW_SECONDS)
        standings = (_standing(*item, window=window) for item in self._entries.items())
        shown = heapq.nsmallest(self._shown, standings, key=lambda one: (-one.score, one.entity))
        return shown, len(self._entries) - len(shown) + len(self._turned_away)

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


def _standing(entity: str, entry: _Entry, *, window: int) -> Standing:
    is_running = window == entry.window
    score = max(entry.score, entry.score_before) if is_running else entry.score
    severity = max(entry.severity, entry.severity_before) if is_running else entry.severity
    return Standing(entity, entry.model, score, severity)
