"""Resources that tests share: real servers, nothing pretended."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from redis import Redis

from service.scoring.bundle import load_bundle
from service.scoring.fold import Fold
from service.stream.embedded import EmbeddedValkey, valkey_binary
from tests.builders import tiny_bundle
from tests.programs import program

# Machines differ in speed, so no example has a deadline; CI repeats the same examples.
settings.register_profile(
    "steady",
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("steady")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session", params=["redis", "valkey"])
def server_binary(request: pytest.FixtureRequest) -> Path:
    """Both servers we promise to work with: Debian's redis-server and the embedded Valkey."""
    if request.param == "valkey":
        return valkey_binary()
    return Path(program("redis-server"))


@pytest.fixture(scope="session")
def redis_session_url(
    server_binary: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """One server of each kind for the whole run; `everysec`, for the disk's sake."""
    folder = tmp_path_factory.mktemp("server")
    with EmbeddedValkey(folder, binary=server_binary, durability="everysec") as server:
        yield server.url


@pytest.fixture
def redis_url(redis_session_url: str) -> str:
    """Address of a server whose database is empty."""
    with Redis.from_url(redis_session_url) as client:
        client.flushall()
        client.config_set("appendfsync", "everysec")
        client.config_set("maxmemory-policy", "noeviction")
    return redis_session_url


@pytest.fixture(scope="session")
def bundle_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of bundles holding `tiny`."""
    return tiny_bundle(tmp_path_factory.mktemp("bundles"))


@pytest.fixture(scope="session")
def fold(bundle_folder: Path) -> Fold:
    """The tiny bundle, opened."""
    return Fold(load_bundle(bundle_folder / "tiny"))
