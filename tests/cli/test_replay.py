import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import httpx2
import numpy as np
import pytest

from tests.builders import series_like
from tests.cli.commands import Finished, assert_refused, called, gaugewatch, series_file
from tests.system.processes import Service, free_port, until
from tests.system.replays import SERIES

pytestmark = pytest.mark.slow

Call = Callable[..., Finished]
KEY = "a-long-enough-key-1"


@pytest.fixture(scope="module")
def service(bundle_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("replay")
    with Service(bundle_folder, folder, durability="everysec", api_keys=KEY) as service:
        yield service


@pytest.fixture
def replay(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, service: Service
) -> Call:
    monkeypatch.setenv("GAUGEWATCH_KEY", KEY)
    return partial(called, capsys, monkeypatch, "replay", "--url", service.url)


def test_a_folder_is_replayed_in_order_of_time(
    replay: Call, service: Service, tmp_path: Path
) -> None:
    for name in ("one", "other"):
        series_file(tmp_path / f"{name}.npz", series_like(name, 40))
    ended = replay(str(tmp_path), "--json", "--limit", "30", "--batch", "7")
    assert (ended.code, ended.err, ended.out.count("\n")) == (0, "", 1)
    summary = json.loads(ended.out)
    assert summary["points"] == 60
    assert summary["statuses"] == {"warming": 6, "calibrating": 54}
    headers = {"Authorization": f"Bearer {KEY}"}
    view = httpx2.get(f"{service.url}/v1/entities/other", headers=headers).json()
    assert view["points"] == 30
    again = json.loads(replay(str(tmp_path), "--json", "--limit", "30").out)
    assert again["statuses"] == {"duplicate": 60}


def test_verdicts_are_written_as_arrays(replay: Call, tmp_path: Path) -> None:
    file = series_file(tmp_path / "alpha.npz", SERIES[0])
    output = tmp_path / "out.npz"
    ended = replay(str(file), "--output", str(output), "--limit", "50")
    assert ended.code == 0
    assert "50 points" in ended.out
    with np.load(output, allow_pickle=False) as arrays:
        assert set(arrays.files) == {"score", "severity", "p_value", "is_anomaly", "status"}
        assert {arrays[name].shape for name in arrays.files} == {(50,)}
        assert np.isnan(arrays["score"]).tolist() == (arrays["status"] == "warming").tolist()


def test_a_rate_is_kept(replay: Call, tmp_path: Path) -> None:
    """By its lower bound, which load cannot break."""
    file = series_file(tmp_path / "paced.npz", series_like("paced", 30))
    start = time.monotonic()
    assert replay(str(file), "--rate", "100", "--batch", "5", "--json").code == 0
    assert time.monotonic() - start >= 0.29


def test_other_dimensions_are_refused_and_nothing_is_kept(replay: Call, tmp_path: Path) -> None:
    file = tmp_path / "gamma.npz"
    np.savez(file, train=np.zeros((3, 3)), test=np.zeros((3, 3)))
    ended = replay(str(file), "--json")
    assert_refused(ended, 2, "bad_points", "expected 4 values for bundle 'tiny', came 3")


def test_a_wrong_key_is_one_line(
    replay: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = series_file(tmp_path / "alpha.npz", series_like("alpha", 4))
    assert_refused(replay(str(file), "--json", "--key", "another-key-altogether"), 2, "not_author")


def test_one_name_for_several_series_is_refused(replay: Call, tmp_path: Path) -> None:
    for name in ("one", "other"):
        series_file(tmp_path / f"{name}.npz", series_like(name, 4))
    assert_refused(replay(str(tmp_path), "--entity", "x"), 2, "--entity")


@pytest.mark.parametrize("url", ["nonsense", "https://127.0.0.1", "http://", "http://x:port"])
def test_an_address_that_is_none_is_one_line(replay: Call, tmp_path: Path, url: str) -> None:
    file = series_file(tmp_path / "alpha.npz", series_like("alpha", 4))
    assert_refused(replay(str(file), "--url", url, "--json"), 2, "bad_input", "URL")


def test_no_service_is_one_line_and_soon(replay: Call, tmp_path: Path) -> None:
    """Who never answered is not waited for as one that is being restarted."""
    file = series_file(tmp_path / "alpha.npz", series_like("alpha", 4))
    start = time.monotonic()
    ended = replay(str(file), "--url", f"http://127.0.0.1:{free_port()}", "--json")
    assert_refused(ended, 1, "store_unavailable", "refused")
    assert time.monotonic() - start < 15


def points_known(service: Service) -> int:
    answer = httpx2.get(f"{service.url}/v1/entities/alpha")
    return int(answer.json()["points"]) if answer.status_code == 200 else 0


@pytest.mark.timeout(120)
def test_a_replay_outlives_a_crash_of_the_service(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    bundle_folder: Path,
    tmp_path: Path,
) -> None:
    """It repeats what nobody acknowledged, until somebody does."""
    file = series_file(tmp_path / "alpha.npz", SERIES[0])
    with Service(bundle_folder, tmp_path) as service, ThreadPoolExecutor(1) as pool:
        words = (str(file), "--url", service.url, "--batch", "3", "--rate", "150", "--json")
        replaying = pool.submit(gaugewatch, "replay", *words)
        until(lambda: points_known(service) > 3, "a second request: the first was answered")
        service.kill()
        service.start()
        summary = json.loads(replaying.result(90).out)
        view = httpx2.get(f"{service.url}/v1/entities/alpha").json()
    assert summary["points"] == view["points"] == len(SERIES[0].values)
    assert set(summary["statuses"]) <= {"warming", "scored", "duplicate"}


@pytest.mark.parametrize("period", ["0", "-1", "nan", "inf"])
def test_a_period_that_is_none_is_one_line(replay: Call, tmp_path: Path, period: str) -> None:
    file = series_file(tmp_path / "alpha.npz", series_like("alpha", 4))
    ended = replay(str(file), "--period-seconds", period, "--json")
    assert_refused(ended, 2, "bad_input", "--period-seconds")


def test_nothing_is_sent_that_could_not_be_written_or_counted(
    replay: Call, service: Service, tmp_path: Path
) -> None:
    file = series_file(tmp_path / "unsent.npz", series_like("unsent", 4))
    ended = replay(str(file), "--json", "--output", str(tmp_path / "no" / "out.npz"))
    assert_refused(ended, 2, "bad_input", str(tmp_path / "no"))
    for limit in ("0", "-1"):
        assert replay(str(file), "--limit", limit).code == 2
    headers = {"Authorization": f"Bearer {KEY}"}
    answer = httpx2.get(f"{service.url}/v1/entities/unsent", headers=headers)
    assert answer.status_code == 404
