"""The tools that check a deployment. CI must have them; elsewhere a missing one skips loudly."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.system.processes import ROOT

DEPLOY = ROOT / "deploy"
PACKAGES = {
    "amtool": "prometheus-alertmanager",
    "buildah": "buildah",
    "docker-compose": "docker-compose",
    "kubectl": "kubectl, or any other that has `kubectl kustomize`",
    "mmdebstrap": "mmdebstrap",
    "prometheus": "prometheus",
    "prometheus-alertmanager": "prometheus-alertmanager",
    "promtool": "prometheus",
    "redis-cli": "redis-tools",
    "redis-server": "redis-server",
    "runc": "runc",
}


def tool(name: str) -> str:
    """Path of a tool: of our own environment, else of the system."""
    own = Path(sys.executable).parent / name
    found = str(own) if own.is_file() else shutil.which(name)
    if found is None:
        missing = f"there is no {name} on the PATH (package: {PACKAGES.get(name, name)})"
        if os.environ.get("CI"):
            pytest.fail(f"expected every tool in CI, but {missing}")
        pytest.skip(f"NOT TESTED: {missing}")
    return found


def said(
    name: str,
    *arguments: str | Path,
    cwd: Path = ROOT,
    seconds: float = 60,
    environment: Mapping[str, str] | None = None,
) -> str:
    """Stdout of a tool that must succeed."""
    result = subprocess.run(
        [tool(name), *map(str, arguments)],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert result.returncode == 0, f"{name}: {result.stdout[-3_000:]}{result.stderr[-3_000:]}"
    return result.stdout
