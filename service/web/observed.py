"""The observed: what came of the promise, on the page of metrics beside what was promised.

It is read from Redis once a minute, on the desk, and so is the same on every replica. While Redis
is away, the last answer stays.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import nan
from typing import Final

import structlog
from prometheus_client.metrics_core import Metric

from service.errors import Overloaded, StoreUnavailable
from service.stream.desk import Desk
from service.stream.promise import DAY_SECONDS, ModelPromise
from service.web.families import Labels, gauge

log: structlog.stdlib.BoundLogger = structlog.get_logger()

DAYS: Final = 7
REFRESH_SECONDS: Final = 60.0
_BY_MODEL: Final = ("model",)


class Observed:
    """The last report of the promise."""

    def __init__(self, read: Callable[[], list[ModelPromise]], desk: Desk) -> None:
        """`read` reports the last days; it may raise StoreUnavailable."""
        self._read, self._desk = read, desk
        self._report: Sequence[ModelPromise] = ()

    async def refresh(self) -> None:
        """Read it again; when that cannot be now, the last answer stays."""
        try:
            self._report = await self._desk.ask(self._read)
        except (StoreUnavailable, Overloaded):
            log.debug("the promise cannot be read")
        except Exception:
            log.exception("the promise cannot be read")

    async def follow(self) -> None:
        """Refresh it for ever."""
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            await self.refresh()

    def families(self) -> Iterator[Metric]:
        """Rates are NaN where nothing was scored, and left out where nobody knows the period."""
        days = {one.model: one.entity_days for one in self._report if one.entity_days is not None}
        false = {one.model: one.false_rate for one in self._report if one.model in days}
        unrefuted = {one.model: one.at_most for one in self._report if one.model in days}
        text = "Incidents labelled false per entity and day, of the last seven days"
        yield _by_model("observed_false_incidents_per_entity_day", text, false)
        text = "Incidents not labelled true per entity and day, of the last seven days"
        yield _by_model("unrefuted_incidents_per_entity_day", text, unrefuted)
        text = "Scored points times their period, of the last seven days"
        seconds = {model: DAY_SECONDS * number for model, number in days.items()}
        yield _by_model("entity_seconds", text, seconds)
        text = "Incidents opened in the last seven days, by what people called them"
        yield gauge("labelled_incidents", text, self._labelled(), labels=("model", "label"))

    def _labelled(self) -> dict[Labels, float]:
        return {
            (one.model, label): incidents
            for one in self._report
            for label, incidents in (
                ("true", one.labelled_true),
                ("false", one.labelled_false),
                ("new_normal", one.labelled_new_normal),
                ("none", one.unlabelled),
            )
        }


def _by_model(name: str, text: str, numbers: Mapping[str, float | None]) -> Metric:
    values: dict[Labels, float] = {
        (model,): nan if number is None else number for model, number in numbers.items()
    }
    return gauge(name, text, values, labels=_BY_MODEL)
