"""Losses: points that Redis had taken and no longer has, noticed when their entity goes on.

They are counted, and told with the next commit of the entity: its window has a gap.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Final

import structlog

from service.stream.arena import Held
from service.stream.silence import points_lost

log: structlog.stdlib.BoundLogger = structlog.get_logger()

MAX_REMEMBERED: Final = 100_000


class Losses:
    """Compares what an entity had when our memory of it was given up with what is loaded again."""

    def __init__(self) -> None:
        self._seqs: dict[str, int] = {}
        self.points: Counter[str] = Counter()  # lost, by model

    def remember(self, entity: str, held: Held | None) -> None:
        """Its memory is given up: Redis knows better, or does not answer."""
        if held is not None and len(self._seqs) < MAX_REMEMBERED:
            self._seqs[entity] = max(held.seq, self._seqs.get(entity, 0))

    def compare(self, entities: Sequence[str], held: Sequence[Held], *, model: str) -> None:
        """Count what is gone. Of an entity that is gone altogether nothing: it may have expired."""
        if not self._seqs:
            return
        total = 0
        for entity, one in zip(entities, held, strict=True):
            lost = self._seqs.pop(entity, 0) - one.seq
            if lost > 0 and one.seq:
                told = points_lost(entity, one.timestamp_ms, lost=lost, model=model)
                one.ended, total = (*one.ended, told), total + lost
        if total:
            self.points[model] += total
            log.warning("points lost by Redis", points=total, model=model)
