"""Families: numbers as the metric families that Prometheus reads, all with our prefix."""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

BOUNDS_SECONDS: Final = tuple(
    n / scale for scale in (10_000, 1_000, 100, 10, 1) for n in (1, 2.5, 5)
)

Labels = tuple[str, ...]  # values


@dataclass
class Histogram:
    """How many times were how long."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_SECONDS) + 1))
    sum_seconds: float = 0.0

    def observe(self, seconds: float) -> None:
        """Count one."""
        self.counts[bisect_left(BOUNDS_SECONDS, seconds)] += 1
        self.sum_seconds += seconds


def counter(name: str, text: str, label: str, counts: Mapping[str, int]) -> Metric:
    """Counts by the values of one label."""
    family = CounterMetricFamily(f"gaugewatch_{name}", text, labels=[label])
    for value, count in counts.items():
        family.add_metric([value], count)
    return family


def gauge(
    name: str,
    text: str,
    values: Mapping[Labels, float],
    *,
    labels: tuple[str, ...] = (),
) -> Metric:
    """Values that go up and down, by the values of their labels."""
    family = GaugeMetricFamily(f"gaugewatch_{name}", text, labels=labels)
    for label_values, value in values.items():
        family.add_metric(label_values, value)
    return family


def histogram(
    name: str,
    text: str,
    histograms: Mapping[Labels, Histogram],
    *,
    labels: tuple[str, ...],
) -> Metric:
    """Times, by the values of their labels."""
    bounds = [*map(str, BOUNDS_SECONDS), "+Inf"]
    family = HistogramMetricFamily(f"gaugewatch_{name}", text, labels=labels)
    for label_values, one in histograms.items():
        buckets = list(zip(bounds, accumulate(one.counts), strict=True))
        family.add_metric(label_values, buckets, one.sum_seconds)
    return family
