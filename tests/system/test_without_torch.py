"""The service imports, starts and scores where the trainer and its libraries are not installed."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.system.processes import ROOT, environment

pytestmark = pytest.mark.slow

SCRIPT = """
import asyncio, sys
from importlib.abc import MetaPathFinder

REFUSED = {"torch", "trainer", "onnx", "onnxscript", "sklearn", "matplotlib", "scipy", "pyarrow"}

class Absent(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in REFUSED:
            raise ModuleNotFoundError(f"{name!r} is refused here", name=name)
        return None

sys.meta_path.insert(0, Absent())

from pathlib import Path
import service.cli
from starlette.testclient import TestClient
from service.settings import read_settings
from service.web.app import create_app

settings = read_settings(
    bundles=Path(sys.argv[1]), data_directory=Path(sys.argv[2]), default_bundle="tiny"
)
points = [
    {"entity": "alpha", "timestamp_ms": time, "values": [0.1, 0.2, 0.3, 0.4]} for time in range(9)
]
with TestClient(create_app(settings), base_url="http://127.0.0.1") as client:
    verdicts = client.post("/v1/points", json={"points": points}).json()["verdicts"]
    client.get("/openapi.json").raise_for_status()
    client.get("/metrics").raise_for_status()
assert not REFUSED & set(sys.modules)
print(verdicts[-1]["status"], verdicts[-1]["score"] >= 0)
"""


def test_the_service_starts_and_scores_without_torch(bundle_folder: Path, tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(bundle_folder), str(tmp_path)],
        env=environment(),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[-1] == "scored True"


def test_the_finder_of_this_test_does_refuse(tmp_path: Path) -> None:
    script = SCRIPT.replace("import service.cli", "import trainer")
    ended = subprocess.run(
        [sys.executable, "-c", script, "", ""], env=environment(), cwd=ROOT, capture_output=True
    )
    assert b"refused here" in ended.stderr
