"""A fault that a replay brings becomes one message of a real Alertmanager, with its causes."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import numpy as np
import pytest

from service.stream.messages import Verdict
from tests.builders import ENTITIES, series_like
from tests.deploy.monitoring import KEY, alertmanager, found, prometheus, webhook
from tests.system.processes import RedisServer, Service, until
from tests.system.replays import Answer, interleaved, requests_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

GUILTY = ENTITIES[0]
FAULT = slice(60, 70)
ABOUT = {"alertname": "GaugewatchIncident", "entity": GUILTY}


@pytest.fixture
def replicas(
    bundle_folder: Path, tmp_path: Path, redis_server: RedisServer
) -> Iterator[list[Service]]:
    with ExitStack() as stack:
        yield [
            stack.enter_context(
                Service(bundle_folder, tmp_path / name, redis_url=redis_server.url, api_keys=KEY)
            )
            for name in ("one", "other")
        ]


def replay(replicas: Sequence[Service]) -> list[list[Verdict]]:
    """Replicas take turns; the fault grows and is not over at the end. Verdicts by request."""
    series = [series_like(entity, FAULT.stop, seed=3) for entity in ENTITIES]
    series[0].values[FAULT, 2] += 20.0 * np.arange(1, 11) ** 2  # the culprit is c
    answers = []
    requests = requests_of(interleaved(series), seed=61, largest=9)
    for request, service in zip(requests, cycle(replicas), strict=False):
        answer = httpx2.post(
            f"{service.url}/v1/points",
            json={"points": msgspec.to_builtins(request)},
            headers={"Authorization": f"Bearer {KEY}"},
            timeout=30,
        ).raise_for_status()
        answers.append(msgspec.json.decode(answer.content, type=Answer).verdicts)
    return answers


def causes_of(answers: Sequence[Sequence[Verdict]]) -> str:
    """In words, of the open incident, as the replica saw it that answered last."""
    seen = [verdict for answer in answers[::-2] for verdict in answer if verdict.entity == GUILTY]
    incident = max(seen, key=lambda verdict: verdict.timestamp_ms).incident
    anomalies = [one for one in seen if one.is_anomaly and one.incident == incident]
    blame: Counter[str] = Counter()
    for verdict in anomalies:
        blame.update({one.dimension: one.share / len(anomalies) for one in verdict.contributions})
    return ", ".join(
        f"{name} {share:.0%}".replace("%", " %") for name, share in blame.most_common(3)
    )


def told(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What Alertmanager has said about the incidents of the guilty entity."""
    alerts = [alert for message in messages for alert in message["alerts"]]
    return [alert for alert in alerts if ABOUT.items() <= alert["labels"].items()]


def causes_now(metrics: str) -> list[str]:
    """What Prometheus would tell now."""
    alerts = httpx2.get(f"{metrics}/api/v1/alerts", timeout=10).json()["data"]["alerts"]
    ours = [alert for alert in alerts if ABOUT.items() <= alert["labels"].items()]
    return [alert["annotations"]["causes"] for alert in ours]


def test_a_fault_becomes_one_message_with_entity_and_causes(
    replicas: list[Service], tmp_path: Path
) -> None:
    with (
        webhook() as (url, messages),
        alertmanager(tmp_path / "alertmanager", webhook=url) as address,
        prometheus(replicas, tmp_path / "prometheus", alertmanager=address) as metrics,
    ):
        until(lambda: len(found(metrics, "up == 1")) == 2, "Prometheus to scrape both replicas")
        causes = causes_of(replay(replicas))
        until(lambda: told(messages), "a message of Alertmanager")
        until(lambda: causes_now(metrics) == [causes], f"one alert that blames {causes}")
        shown = found(metrics, f'gaugewatch_incident_open{{entity="{GUILTY}"}}')
    assert len(shown) == 2, "both replicas have scored it"
    assert causes.startswith("c ")
    (alert,) = told(messages)
    assert alert["status"] == "firing"
    assert alert["labels"]["severity"] == "warning"
    assert alert["annotations"]["summary"] == f"{GUILTY} misbehaves"
    assert alert["annotations"]["causes"].startswith("c ")
    assert float(alert["annotations"]["score"]) > 1
