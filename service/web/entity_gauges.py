"""Gauges of single entities on the page of metrics: those that the scoreboard puts first."""

from collections.abc import Iterator, Sequence

from prometheus_client.metrics_core import Metric

from service.web.families import Labels, gauge
from service.web.scoreboard import Scoreboard, Standing


def entity_gauges(scoreboard: Scoreboard, now_seconds: float) -> Iterator[Metric]:
    """Scores and incidents of the entities shown, and how many are not."""
    shown, left_out = scoreboard.leading(now_seconds)
    labels = ("entity", "model")
    scores: dict[Labels, float] = {(one.entity, one.model): one.score for one in shown}
    severities: dict[Labels, float] = {(one.entity, one.model): one.severity for one in shown}
    text = "Highest score of the last minute or two, more than 1 is anomalous"
    yield gauge("score", text, scores, labels=labels)
    text = "Highest severity of the last minute or two, in nats"
    yield gauge("severity", text, severities, labels=labels)
    text = "Entities with a score that is not shown, for they are too many"
    yield gauge("entities_not_exported", text, {(): left_out})
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
    yield gauge("newest_point_timestamp_seconds", text, newest, labels=labels)
    text = "1 while an incident is open, and a minute longer"
    yield gauge("incident_open", text, is_open, labels=labels)
    text = "Mean share of a leading cause of such an incident, 0 to 1"
    yield gauge("incident_cause_ratio", text, shares, labels=(*labels, "cause"))
