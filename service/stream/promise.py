"""The promise: false incidents per entity and day, as promised and as they came.

Entity-days are counted from the points that were scored, so that silence promises nothing.
"""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from msgspec import Struct
from redis import Redis

from service.stream.incident_messages import Incident, Label, Wanted
from service.stream.incidents import Incidents
from service.stream.keys import incident_index_key
from service.stream.models import Models
from service.stream.silence import NO_POINT_MARKS
from service.stream.store import Store
from service.stream.tallies import DAY_MS

MAX_COUNTED: Final = 20_000
DAY_SECONDS: Final = 86_400
_PAGE: Final = 500
_LABELS: Final = ("true", "false", "new_normal", None)

Labels = Counter[tuple[str, Label | None]]  # incidents by model and label


class Promised(NamedTuple):
    """A bundle at work: what it promises, and the entities it was trained on."""

    budget: float
    period_seconds: float
    entities: frozenset[str]


class ModelPromise(Struct, frozen=True):
    """What one bundle promised, and what came of it. Rates are per entity and day."""

    model: str
    promised: float | None  # None: it is not in force any more
    entity_days: float | None  # scored points x period; None: nobody knows its period
    incidents: int  # opened in those days: of anomalies, of entities it was trained on
    labelled_true: int
    labelled_false: int
    labelled_new_normal: int
    unlabelled: int
    false_rate: float | None  # those people called false
    at_most: float | None  # those people did not call true
    is_complete: bool  # False: more incidents opened than are kept or counted


class Promise:
    """Reads tallies and incidents; `store` is its own, for one thread at a time."""

    def __init__(self, store: Store, *, max_counted: int = MAX_COUNTED) -> None:
        self._store = store
        self._max_counted = max_counted  # incidents of one report
        self._incidents = Incidents(store)

    def report(
        self,
        in_force: Mapping[str, Promised],
        *,
        days: int,
        now_ms: int,
    ) -> list[ModelPromise]:
        """One per model, by name, of the last `days` days of UTC, today among them.

        Points and incidents belong to the day of their own time. Raises StoreUnavailable.
        """
        today = now_ms // DAY_MS
        span = range(today - days + 1, today + 1)
        scored = self._store.scored(span)
        labels, is_complete = self._opened(span, in_force)
        models = sorted({*in_force, *scored, *(model for model, _ in labels)})
        # versions of before have the period of the one in force
        periods = {_bundle(model): one.period_seconds for model, one in in_force.items()}
        return [
            _promise(
                model,
                in_force[model].budget if model in in_force else None,
                _entity_days(scored.get(model, 0), periods.get(_bundle(model))),
                labels={label: labels[model, label] for label in _LABELS},
                is_complete=is_complete,
            )
            for model in models
        ]

    def _opened(self, span: range, in_force: Mapping[str, Promised]) -> tuple[Labels, bool]:
        """Incidents of anomalies that opened on those days, and whether these are all."""
        wanted, after, looked_at = Wanted(since_ms=span.start * DAY_MS), None, 0
        labels: Labels = Counter()
        while looked_at < self._max_counted:
            limit = min(_PAGE, self._max_counted - looked_at)
            page = self._incidents.page(wanted, limit=limit, after=after)
            looked_at, after = looked_at + len(page.incidents), page.next
            counted = (one for one in page.incidents if _counts(one, span, in_force))
            labels.update((one.alert.model, one.note.label) for one in counted)
            if after is None:
                break
        return labels, after is None and self._keeps_all(span)

    def _keeps_all(self, span: range) -> bool:
        """Whether no incident of those days had to be forgotten."""
        if len(span) * DAY_SECONDS > self._store.options.incident_ttl_seconds:
            return False

        def read(redis: Redis, shards: Sequence[int]) -> list[list[tuple[bytes, float]]]:
            pipeline = redis.pipeline(transaction=False)
            last = -self._store.options.incidents_kept  # from the newest: full if it is there
            for shard in shards:
                pipeline.zrange(incident_index_key(shard), last, last, withscores=True)
            return list(pipeline.execute())

        kept = self._store.shards.ask_all(read)
        oldest_ms = [opened_ms for found in kept for _, opened_ms in found]
        return all(opened_ms < span.start * DAY_MS for opened_ms in oldest_ms)


def reported(promise: Promise, models: Models, *, days: int) -> list[ModelPromise]:
    """The report, up to now, with the bundles in force. Raises StoreUnavailable."""
    in_force = {
        fold.bundle.title: Promised(
            fold.budget,
            fold.bundle.manifest.period_seconds,
            frozenset(fold.bundle.manifest.entities),
        )
        for fold in models.serving.folds.values()
    }
    return promise.report(in_force, days=days, now_ms=time.time_ns() // 10**6)


def _promise(
    model: str,
    promised: float | None,
    entity_days: float | None,
    *,
    labels: Mapping[str | None, int],
    is_complete: bool,
) -> ModelPromise:
    incidents = sum(labels.values())
    return ModelPromise(
        model=model,
        promised=promised,
        entity_days=entity_days,
        incidents=incidents,
        labelled_true=labels["true"],
        labelled_false=labels["false"],
        labelled_new_normal=labels["new_normal"],
        unlabelled=labels[None],
        false_rate=labels["false"] / entity_days if entity_days else None,
        at_most=(incidents - labels["true"]) / entity_days if entity_days else None,
        is_complete=is_complete,
    )


def _entity_days(scored: int, period_seconds: float | None) -> float | None:
    return None if period_seconds is None else scored * period_seconds / DAY_SECONDS


def _counts(incident: Incident, span: range, in_force: Mapping[str, Promised]) -> bool:
    """Nothing is promised of entities that are calibrating; of an old version nobody knows them."""
    model = in_force.get(incident.alert.model)
    is_calibrating = model is not None and incident.entity not in model.entities
    is_scored = not incident.incident.endswith(NO_POINT_MARKS)
    return is_scored and not is_calibrating and incident.opened_ms // DAY_MS in span


def _bundle(title: str) -> str:
    return title.rpartition("/")[0]
