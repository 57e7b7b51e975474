"""Metrics: what Prometheus scrapes. One registry per application, plain dictionaries inside."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from importlib.metadata import version
from typing import Final

from msgspec import MsgspecError
from msgspec.json import Decoder
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from service.stream.messages import Alert, Verdict
from service.stream.stage import Stage
from service.web.entity_gauges import entity_gauges
from service.web.families import Histogram, Labels, counter, gauge, histogram
from service.web.scoreboard import Scoreboard

REPEATED: Final = frozenset({"duplicate", "conflict"})  # counted, but their score is an old one


_ALERT: Final = Decoder(Alert)


class Metrics(Collector):
    """Counts verdicts, times stages and requests, and shows them."""

    def __init__(
        self, *, budgets: Callable[[], Mapping[str, float]], scoreboard: Scoreboard
    ) -> None:
        """`budgets` says the promised false incidents per entity and day, by model in force."""
        self._budgets = budgets
        self.scoreboard = scoreboard
        self._gauges: dict[str, tuple[str, Callable[[], int]]] = {}
        self._counters: dict[str, tuple[str, str, Callable[[], Mapping[str, int]]]] = {}
        self._families: list[Callable[[], Iterator[Metric]]] = []
        self._points: Counter[str] = Counter()
        self._released: Counter[str] = Counter({"scored": 0, "calibrating": 0, "warming": 0})
        self._anomalies: Counter[str] = Counter(dict.fromkeys(budgets(), 0))
        self._missing: Counter[str] = Counter(dict.fromkeys(budgets(), 0))
        self._alerts: Counter[str] = Counter({"opened": 0, "updated": 0, "resolved": 0})
        self._stages: dict[str, Histogram] = {}
        self._requests: dict[Labels, Histogram] = {}
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def watch(self, name: str, text: str, read: Callable[[], int]) -> None:
        """Show as a gauge what `read` says at each scrape."""
        self._gauges[name] = (text, read)

    def watch_counts(
        self, name: str, text: str, label: str, read: Callable[[], Mapping[str, int]]
    ) -> None:
        """Show as a counter what `read` says at each scrape, by the values of `label`."""
        self._counters[name] = (text, label, read)

    def watch_families(self, read: Callable[[], Iterator[Metric]]) -> None:
        """Show at each scrape the families that `read` yields."""
        self._families.append(read)

    def count(self, verdicts: Sequence[Verdict], *, is_backfill: bool = False) -> None:
        """Take the verdicts of one request into account, after they were committed.

        Those of a backfill are counted, and not shown: nobody is alerted of them.
        """
        self._points.update([verdict.status for verdict in verdicts])
        first = [verdict for verdict in verdicts if verdict.status not in REPEATED]
        self._count(first)
        if not is_backfill:
            self._show(first)

    def count_told(self, verdicts: Sequence[Verdict], alerts: Sequence[bytes]) -> None:
        """Take into account what no request was answered: points that had waited, and alerts."""
        for content in alerts:
            self._alerts[_ALERT.decode(content).kind] += 1
        self._released.update([verdict.status for verdict in verdicts])
        self._count(verdicts)
        self._show(verdicts)

    def hear(self, content: bytes) -> None:
        """Take an alert of the log into account, whichever replica wrote it."""
        with suppress(MsgspecError):  # somebody else put something there
            self.scoreboard.tell(_ALERT.decode(content), time.monotonic())

    def _count(self, verdicts: Sequence[Verdict]) -> None:
        self._anomalies.update([one.model or "" for one in verdicts if one.is_anomaly])
        for verdict in verdicts:
            if isinstance(verdict.missing, list) and verdict.score is not None:
                self._missing[verdict.model or ""] += len(verdict.missing)

    def _show(self, verdicts: Sequence[Verdict]) -> None:
        now_seconds = time.monotonic()
        for verdict in verdicts:
            if verdict.score is not None or verdict.incident is not None:
                self.scoreboard.note(verdict, now_seconds)

    def observe_stage(self, stage: str, seconds: float) -> None:
        """Time one stage of the path of a point; each stage belongs to one thread."""
        if (times := self._stages.get(stage)) is None:
            times = self._stages.setdefault(stage, Histogram())
        times.observe(seconds)

    def observe_request(self, route: str, status: str, seconds: float) -> None:
        """Time one answered request."""
        if (times := self._requests.get((route, status))) is None:
            times = self._requests.setdefault((route, status), Histogram())
        times.observe(seconds)

    def stage(self, name: str) -> Stage:
        """Time what runs inside."""
        return Stage(name, self.observe_stage)

    def render(self) -> bytes:
        """The page, in the text format."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Everything, for the registry."""
        yield counter("points", "Points answered", "status", self._points)
        yield counter(
            "released_points", "Points scored after they were held", "status", self._released
        )
        yield counter("anomalies", "Points found anomalous", "model", self._anomalies)
        text = "Values of scored points that were missing"
        yield counter("missing_values", text, "model", self._missing)
        yield counter("alerts", "Alerts written to the log", "kind", self._alerts)
        yield from entity_gauges(self.scoreboard, time.monotonic())
        for name, (text, read) in self._gauges.items():
            yield gauge(name, text, {(): read()})
        for name, (text, label, read_counts) in self._counters.items():
            yield counter(name, text, label, read_counts())
        yield gauge(
            "false_alarm_budget",
            "Promised false incidents per entity and day",
            {(model,): budget for model, budget in self._budgets().items()},
            labels=("model",),
        )
        for read_families in self._families:
            yield from read_families()
        build: dict[Labels, float] = {(version("gaugewatch"),): 1}
        yield gauge("build_info", "Version of the service", build, labels=("version",))
        copied = self._stages.copy()  # the scorer's thread may add one while we go over them
        stages: dict[Labels, Histogram] = {(stage,): one for stage, one in copied.items()}
        yield histogram("stage_seconds", "Time per stage of a batch", stages, labels=("stage",))
        yield histogram(
            "request_seconds", "Time per request", self._requests, labels=("route", "status")
        )
