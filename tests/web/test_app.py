from pathlib import Path

import pytest
from redis import Redis
from starlette.testclient import TestClient

from service.errors import (
    BundleInvalid,
    GaugewatchError,
    StoreMisconfigured,
    StoreUnavailable,
    UnknownBundle,
)
from service.settings import Settings
from service.web.app import create_app
from tests.web.serving import HOME, settings_for


def start(settings: Settings) -> None:
    with TestClient(create_app(settings), base_url=HOME):
        pass


def refusal(settings: Settings) -> GaugewatchError:
    with pytest.raises(GaugewatchError) as found:
        start(settings)
    return found.value


def test_a_folder_without_bundles_stops_the_start(tmp_path: Path) -> None:
    error = refusal(settings_for(tmp_path, tmp_path))
    assert isinstance(error, UnknownBundle)
    assert str(tmp_path) in error.detail


def test_an_unknown_default_bundle_stops_the_start(bundle_folder: Path, tmp_path: Path) -> None:
    error = refusal(settings_for(bundle_folder, tmp_path, default_bundle="other"))
    assert isinstance(error, UnknownBundle)
    assert "'other'" in error.detail


def test_a_damaged_bundle_stops_the_start(bundle_folder: Path, tmp_path: Path) -> None:
    version = (bundle_folder / "tiny" / "current").read_text().strip()
    copy = tmp_path / "tiny" / version
    copy.mkdir(parents=True)
    (tmp_path / "tiny" / "current").write_text(version)
    for file in (bundle_folder / "tiny" / version).iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    with (copy / "step.onnx").open("ab") as graph:
        graph.write(b"x")
    assert isinstance(refusal(settings_for(tmp_path, tmp_path / "data")), BundleInvalid)


def test_a_redis_that_is_not_there_stops_the_start(bundle_folder: Path, tmp_path: Path) -> None:
    url = f"unix://{tmp_path}/no.sock"
    error = refusal(settings_for(bundle_folder, tmp_path, redis_url=url))
    assert isinstance(error, StoreUnavailable)


def test_a_redis_that_would_forget_stops_the_start(
    bundle_folder: Path, tmp_path: Path, redis_url: str
) -> None:
    with Redis.from_url(redis_url) as redis:
        redis.config_set("maxmemory-policy", "allkeys-lru")
    error = refusal(settings_for(bundle_folder, tmp_path, redis_url=redis_url))
    assert isinstance(error, StoreMisconfigured)
    assert "maxmemory-policy" in error.detail


def test_a_service_that_stopped_may_start_again_on_its_data(
    bundle_folder: Path, tmp_path: Path
) -> None:
    settings = settings_for(bundle_folder, tmp_path)
    point = {"entity": "alpha", "timestamp_ms": 1, "values": [0, 0, 0, 0]}
    with TestClient(create_app(settings), base_url=HOME) as client:
        first = client.post("/v1/points", json={"points": [point]}).json()["verdicts"]
    with TestClient(create_app(settings), base_url=HOME) as client:
        again = client.post("/v1/points", json={"points": [point]}).json()["verdicts"]
    assert again == [{**first[0], "status": "duplicate"}]
