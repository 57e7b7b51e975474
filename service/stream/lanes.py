"""The lanes of a process: one per bundle that scores, or scored what Redis still keeps."""

import threading

import structlog

from service.errors import GaugewatchError
from service.scoring.fold import STATE_FORMAT, Fold
from service.stream.commit import Layout
from service.stream.lane import Lane
from service.stream.models import Models
from service.stream.serving import Serving
from service.stream.shadow import Shadow

log: structlog.stdlib.BoundLogger = structlog.get_logger()


class Lanes:
    """Made when they are asked for. Arenas belong to the scoring thread; the rest to any."""

    def __init__(self, models: Models, *, max_entities: int, silence_periods: float = 0.0) -> None:
        self._models = models
        self._silence_periods = silence_periods
        self._max_entities = max_entities
        self._lanes: dict[str, Lane] = {}
        self._shadows: dict[str, Shadow] = {}  # by bundle
        self._lock = threading.Lock()

    @property
    def entities(self) -> int:
        """Entities held in memory."""
        return sum(len(lane.arena) for lane in list(self._lanes.values()))

    def of(self, fold: Fold) -> Lane:
        """The lane of an opened bundle."""
        with self._lock:
            title = fold.bundle.title
            if title not in self._lanes:
                self._lanes[title] = Lane(
                    fold,
                    max_entities=self._max_entities,
                    silence_periods=self._silence_periods,
                )
            return self._lanes[title]

    def drop(self, entity: str) -> None:
        """Forget what is held in memory of an entity; for the scoring thread."""
        for lane in list(self._lanes.values()):
            lane.arena.drop(entity)
        for shadow in list(self._shadows.values()):
            shadow.lane.arena.drop(entity)

    def retire(self, serving: Serving) -> None:
        """Let go of versions that are not served any more; for the scoring thread.

        One that is still read from, or rolled back to, begins with what Redis keeps.
        """
        with self._lock:
            served = {fold.bundle.title for fold in serving.folds.values()}
            for title in self._lanes.keys() - served:
                if len(self._lanes[title].arena):
                    del self._lanes[title]
            for name in self._shadows.keys() - serving.shadows.keys():
                self._shadows.pop(name, None)

    def wrote(self, layout: Layout) -> Lane | None:
        """The lane whose rows and snapshots have this layout; None if its bundle is gone."""
        digest, _, state_format = layout.digest.partition(".")
        if state_format != str(STATE_FORMAT):
            return None
        try:
            fold = self._models.with_digest(digest)
        except GaugewatchError as error:
            log.warning("a bundle that scored before cannot be read", detail=error.detail)
            return None
        lane = None if fold is None else self.of(fold)
        return lane if lane is not None and lane.layout == layout else None

    def shadow_of(self, serving: Serving, name: str) -> Shadow | None:
        """What scores silently beside the active version of a bundle, if anything does."""
        fold = serving.shadows.get(name)
        if fold is None:
            self._shadows.pop(name, None)
            return None
        active, known = self.of(serving.folds[name]), self._shadows.get(name)
        if known is None or known.active is not active or known.lane.fold is not fold:
            known = Shadow(active, Lane(fold, max_entities=self._max_entities))
            self._shadows[name] = known
        return known
