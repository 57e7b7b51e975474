from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from service.settings import Settings
from service.web.app import create_app
from tests.web.serving import HOME, serving, settings_for


@pytest.fixture(scope="session")
def settings(bundle_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Small limits, so that tests can reach them."""
    return settings_for(
        bundle_folder,
        tmp_path_factory.mktemp("data"),
        max_body_bytes=100_000,
        max_points_per_request=50,
        metrics_entities=3,
        max_future_seconds=10**10,  # any time that can be written may come
    )


@pytest.fixture(scope="session")
def client(settings: Settings) -> Iterator[TestClient]:
    """The real application on an embedded Valkey, spoken to without a socket."""
    with TestClient(create_app(settings), base_url=HOME) as client:
        yield client


@pytest.fixture(scope="session")
def port(bundle_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The real server, with limits that a test can reach in a moment."""
    chosen = settings_for(
        bundle_folder,
        tmp_path_factory.mktemp("data"),
        receive_seconds=0.5,
        heartbeat_seconds=0.2,
        subscriber_queue=5_000,
    )
    with serving(chosen) as port:
        yield port
