"""Metrics: what Prometheus scrapes. One registry per application, plain dictionaries inside."""

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import accumulate
from typing import Final

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from service.stream.messages import Verdict
from service.web.scoreboard import Scoreboard, Standing

BOUNDS_SECONDS: Final = tuple(
    n / scale for scale in (10_000, 1_000, 100, 10, 1) for n in (1, 2.5, 5)
)
REPEATED: Final = frozenset({"duplicate", "conflict"})  # counted, but their score is an old one

Labels = tuple[str, ...]  # values


@dataclass
class _Histogram:
    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_SECONDS) + 1))
    sum_seconds: float = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(BOUNDS_SECONDS, seconds)] += 1
        self.sum_seconds += seconds


class Metrics(Collector):
    """Counts verdicts, times stages and requests, and shows them."""

    def __init__(self, *, budgets: Mapping[str, float], scoreboard: Scoreboard) -> None:
        """`budgets`: promised false incidents per entity and day, by model."""
        self._budgets = budgets
        self._scoreboard = scoreboard
        self._gauges: dict[str, tuple[str, Callable[[], int]]] = {}
        self._counters: dict[str, tuple[str, str, Callable[[], Mapping[str, int]]]] = {}
        self._points: Counter[str] = Counter()
        self._anomalies: Counter[str] = Counter(dict.fromkeys(budgets, 0))
        self._alerts: Counter[str] = Counter({"opened": 0, "updated": 0, "resolved": 0})
        self._stages: dict[str, _Histogram] = {}
        self._requests: dict[Labels, _Histogram] = {}
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

    def count(self, verdicts: Sequence[Verdict]) -> None:
        """Take the verdicts of one request into account, after they were committed."""
        now_seconds = time.monotonic()
        for verdict in verdicts:
            self._points[verdict.status] += 1
            if verdict.status in REPEATED:
                continue
            if verdict.score is not None or verdict.incident is not None:
                self._scoreboard.note(verdict, now_seconds)
            if verdict.is_anomaly:
                self._anomalies[verdict.model or ""] += 1
            if isinstance(verdict.transition, str) and verdict.status != "calibrating":
                self._alerts[verdict.transition] += 1  # an entity without calibration never alerts

    def observe_stage(self, stage: str, seconds: float) -> None:
        """Time one stage of the path of a point; each stage belongs to one thread."""
        self._stages.setdefault(stage, _Histogram()).observe(seconds)

    def observe_request(self, route: str, status: str, seconds: float) -> None:
        """Time one answered request."""
        self._requests.setdefault((route, status), _Histogram()).observe(seconds)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what runs inside."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.observe_stage(name, time.perf_counter() - start)

    def render(self) -> bytes:
        """The page, in the text format."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Everything, for the registry."""
        yield _counter("points", "Points answered", "status", self._points)
        yield _counter("anomalies", "Points found anomalous", "model", self._anomalies)
        yield _counter("alerts", "Alerts written to the log", "kind", self._alerts)
        yield from self._entity_gauges()
        for name, (text, read) in self._gauges.items():
            yield _gauge(name, text, {(): read()})
        for name, (text, label, read_counts) in self._counters.items():
            yield _counter(name, text, label, read_counts())
        yield _gauge(
            "false_alarm_budget",
            "Promised false incidents per entity and day",
            {(model,): budget for model, budget in self._budgets.items()},
            labels=("model",),
        )
        build: dict[Labels, float] = {(version("gaugewatch"),): 1}
        yield _gauge("build_info", "Version of the service", build, labels=("version",))
        copied = self._stages.copy()  # the scorer's thread may add one while we go over them
        stages: dict[Labels, _Histogram] = {(stage,): one for stage, one in copied.items()}
        yield _histogram("stage_seconds", "Time per stage of a batch", stages, labels=("stage",))
        yield _histogram(
            "request_seconds", "Time per request", self._requests, labels=("route", "status")
        )

    def _entity_gauges(self) -> Iterator[Metric]:
        shown, left_out = self._scoreboard.leading(time.monotonic())
        labels = ("entity", "model")
        scores: dict[Labels, float] = {(one.entity, one.model): one.score for one in shown}
        severities: dict[Labels, float] = {(one.entity, one.model): one.severity for one in shown}
        text = "Highest score of the last minute or two, more than 1 is anomalous"
        yield _gauge("score", text, scores, labels=labels)
        text = "Highest severity of the last minute or two, in nats"
        yield _gauge("severity", text, severities, labels=labels)
        text = "Entities with a score that is not shown, for they are too many"
        yield _gauge("entities_not_exported", text, {(): left_out})
        yield from _incident_gauges(shown)


def _incident_gauges(shown: Sequence[Standing]) -> Iterator[Metric]:
    """Several replicas may show one entity; the one with its newest point is right."""
    labels = ("entity", "model")
    newest: dict[Labels, float] = {(one.entity, one.model): one.newest_ms / 1000 for one in shown}
    is_open: dict[Labels, float] = {(one.entity, one.model): one.is_open for one in shown}
    shares: dict[Labels, float] = {
        (one.entity, one.model, cause): share for one in shown for cause, share in one.causes
    }
    text = "Time of the newest point that this replica scored"
    yield _gauge("newest_point_timestamp_seconds", text, newest, labels=labels)
    text = "1 while an incident is open, and a minute longer"
    yield _gauge("incident_open", text, is_open, labels=labels)
    text = "Mean share of a leading cause of such an incident, 0 to 1"
    yield _gauge("incident_cause_ratio", text, shares, labels=(*labels, "cause"))


def _counter(name: str, text: str, label: str, counts: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(f"gaugewatch_{name}", text, labels=[label])
    for value, count in counts.items():
        family.add_metric([value], count)
    return family


def _gauge(
    name: str,
    text: str,
    values: Mapping[Labels, float],
    *,
    labels: tuple[str, ...] = (),
) -> Metric:
    family = GaugeMetricFamily(f"gaugewatch_{name}", text, labels=labels)
    for label_values, value in values.items():
        family.add_metric(label_values, value)
    return family


def _histogram(
    name: str,
    text: str,
    histograms: Mapping[Labels, _Histogram],
    *,
    labels: tuple[str, ...],
) -> Metric:
    bounds = [*map(str, BOUNDS_SECONDS), "+Inf"]
    family = HistogramMetricFamily(f"gaugewatch_{name}", text, labels=labels)
    for label_values, one in histograms.items():
        buckets = list(zip(bounds, accumulate(one.counts), strict=True))
        family.add_metric(label_values, buckets, one.sum_seconds)
    return family
