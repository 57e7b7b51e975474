"""What we are built on tells its makers nothing of models and machines."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.system.processes import ROOT

pytestmark = pytest.mark.slow
QUIET = ("CI", "GITHUB_ACTIONS", "ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS")
LOADED = "import onnxruntime; onnxruntime.get_available_providers()"


def kept_by(home: Path, program: str) -> list[Path]:
    """Files that a program leaves in a new home, where nobody says that it must be quiet."""
    home.mkdir()
    environment = {name: value for name, value in os.environ.items() if name not in QUIET}
    environment |= {"HOME": str(home), "PYTHONPATH": str(ROOT)}
    environment.pop("XDG_CACHE_HOME", None)
    subprocess.run([sys.executable, "-c", program], env=environment, check=True, cwd=ROOT)
    return [path for path in home.rglob("*") if path.is_file()]


@pytest.mark.parametrize("package", ["service.scoring.detector", "trainer.parity"])
def test_no_identifier_is_kept_and_nothing_waits_to_be_sent(tmp_path: Path, package: str) -> None:
    if not kept_by(tmp_path / "by-itself", LOADED):
        pytest.skip("this ONNX Runtime keeps nothing by itself")
    assert kept_by(tmp_path / "by-us", f"import {package}; {LOADED}") == []
