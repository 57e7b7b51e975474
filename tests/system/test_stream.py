"""The stream answers and tells what the offline run does: real service, real sockets."""

import json
from pathlib import Path

import httpx2
import msgspec
import numpy as np
import pytest

from service.scoring.bundle import load_bundle
from service.scoring.fold import TOP_CAUSES, Fold, shares_of, top_causes
from service.scoring.incident import Transition
from service.scoring.offline import Scored, Told, score_series
from service.scoring.series import Series
from service.stream.messages import Alert
from tests.cli.commands import gaugewatch, series_file
from tests.system.conftest import Undisturbed
from tests.system.processes import Service
from tests.system.real import BUDGET, real_stretch, shipped_bundle
from tests.system.replays import SERIES, alert_log, by_entity
from tests.system.subscribers import Subscriber, now_and_then

pytestmark = pytest.mark.slow

KINDS = {Transition.NEW_NORMAL: "resolved"}
ARRAYS = ("score", "severity", "p_value", "is_anomaly", "status")


def told_offline(series: Series, scored: Scored) -> list[tuple[object, ...]]:
    """Every transition, as the alert of it must say it."""
    return [_told(series, scored, told) for told in scored.told]


def _told(series: Series, scored: Scored, told: Told) -> tuple[object, ...]:
    kind = KINDS.get(told.transition, told.transition.name.lower())
    blame = told.incident["blame"].astype(np.float32)
    shares = shares_of((blame if kind == "resolved" else scored.contribution[told.row])[None])
    causes = [series.dimensions[d] for d in top_causes(shares, TOP_CAUSES)[0] if shares[0, d] > 0]
    return (
        kind,
        f"{series.entity}@{told.incident['opened_ms']}",
        int(series.timestamps_ms[told.row]),
        int(told.incident["points"]),
        int(told.incident["anomalies"]),
        float(told.incident["peak_score"]),
        float(told.incident["peak_severity"]),
        causes,
    )


def told_online(alerts: list[bytes]) -> list[tuple[object, ...]]:
    decoded = [msgspec.json.decode(alert, type=Alert) for alert in alerts]
    return [
        (
            one.kind,
            one.incident,
            one.timestamp_ms,
            one.points,
            one.anomalies,
            one.peak_score,
            one.peak_severity,
            [cause.dimension for cause in one.causes],
        )
        for one in decoded
    ]


def test_the_series_make_every_kind_of_transition(fold: Fold) -> None:
    scored = score_series(fold, SERIES)
    assert {told.transition for one in scored for told in one.told} == set(Transition) - {
        Transition.NONE
    }


def test_every_answer_equals_the_offline_run(undisturbed: Undisturbed, fold: Fold) -> None:
    for series, scored in zip(SERIES, score_series(fold, SERIES), strict=True):
        times = series.timestamps_ms.tolist()
        verdicts = [undisturbed.run.verdicts[series.entity, time] for time in times]
        for name in ARRAYS:
            found = [getattr(verdict, name) for verdict in verdicts]
            expected = getattr(scored, name)
            array = np.array([np.nan if value is None else value for value in found])
            assert array.astype(expected.dtype).tobytes() == expected.tobytes(), name


def test_the_alert_log_holds_every_transition_of_the_offline_run(
    undisturbed: Undisturbed, fold: Fold
) -> None:
    for series, scored in zip(SERIES, score_series(fold, SERIES), strict=True):
        expected = told_offline(series, scored)
        assert expected
        assert told_online(undisturbed.alerts[series.entity]) == expected


def test_a_subscriber_receives_every_alert_once_and_in_order(undisturbed: Undisturbed) -> None:
    assert undisturbed.live.connections == 1
    assert undisturbed.live.gaps == []
    assert by_entity(undisturbed.live.alerts) == undisturbed.alerts


def test_a_subscriber_that_is_cut_off_again_and_again_resumes_without_gap_or_repeat(
    undisturbed: Undisturbed,
) -> None:
    assert undisturbed.cut_off.connections > 3
    assert undisturbed.cut_off.gaps == []
    assert by_entity(undisturbed.cut_off.alerts) == undisturbed.alerts


def test_the_commands_score_and_replay_write_the_same_file(
    bundle_folder: Path, tmp_path: Path
) -> None:
    series = SERIES[0]
    file = series_file(tmp_path / f"{series.entity}.npz", series)
    offline, online = tmp_path / "offline.npz", tmp_path / "online.npz"
    with Service(bundle_folder, tmp_path) as service:
        words = ("--url", service.url, "--batch", "17", "--output", str(online), "--json")
        replayed = json.loads(gaugewatch("replay", str(file), *words).out)
    bundle = str(bundle_folder / "tiny")
    words = ("--bundle", bundle, "--input", str(file), "--output", str(offline), "--json")
    scored = json.loads(gaugewatch("score", *words).out)
    assert replayed["points"] == scored["points"] == len(series.values)
    assert replayed["anomalies"] == scored["anomalies"] > 0
    assert replayed["incidents"] == len(scored["incidents"]) > 0
    assert_same_arrays(offline, online)


def assert_same_arrays(offline: Path, online: Path) -> None:
    with np.load(offline) as expected, np.load(online) as found:
        assert set(ARRAYS) == set(found)
        for name in ARRAYS:
            wide = found[name].astype(expected[name].dtype)  # of strings, only as long as needed
            assert wide.tobytes() == expected[name].tobytes(), name


@pytest.mark.timeout(180)
@pytest.mark.parametrize("name", ["smd-machine-1-6", "smd-machine-2-1"])
def test_a_real_machine_streams_as_it_scores(tmp_path: Path, name: str) -> None:
    """The shipped bundle, a stretch of the test half with its first labelled anomalies."""
    bundle, entity = shipped_bundle(name), name.removeprefix("smd-")
    file = real_stretch(f"SMD/{entity}.npz", tmp_path, points=700)
    offline, online = tmp_path / "offline.npz", tmp_path / "online.npz"
    words = ("--bundle", str(bundle), "--input", str(file), "--output", str(offline), "--json")
    incidents = json.loads(gaugewatch("score", *words, "--budget", str(BUDGET)).out)["incidents"]
    with (
        Service(bundle.parent, tmp_path, default_bundle=name, false_alarm_budget=BUDGET) as service,
        Subscriber(service) as live,
        Subscriber(service, is_cut=now_and_then(2)) as cut_off,
    ):
        assert load_bundle(bundle).manifest.entities == (entity,)
        words = ("--url", service.url, "--batch", "97", "--output", str(online), "--json")
        assert json.loads(gaugewatch("replay", str(file), *words).out)["points"] == 700
        alerts = alert_log(service.redis_url)
        live.until(len(alerts[entity]))
        cut_off.until(len(alerts[entity]))
        assert httpx2.get(f"{service.url}/v1/entities/{entity}").json()["points"] == 700
    assert_same_arrays(offline, online)
    assert by_entity(live.alerts) == by_entity(cut_off.alerts) == alerts
    opened = [one for one in map(_decoded, alerts[entity]) if one.kind == "opened"]
    assert [one.opened_ms for one in opened] == [one["opened_ms"] for one in incidents]
    assert all(one.causes for one in opened)


def _decoded(alert: bytes) -> Alert:
    return msgspec.json.decode(alert, type=Alert)
