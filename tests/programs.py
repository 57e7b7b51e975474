"""The programs of other people that tests run. CI must have them; elsewhere one skips loudly."""

import os
import shutil
import sys
from pathlib import Path
from typing import Final

import pytest

PACKAGES: Final = {
    "amtool": "prometheus-alertmanager",
    "kubectl": "kubectl, or any other that has `kubectl kustomize`",
    "promtool": "prometheus",
    "redis-cli": "redis-tools",
}
SYSTEM: Final = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin"))


def program(name: str) -> str:
    """Path of a program: of our own environment, else of the system."""
    own = Path(sys.executable).parent / name
    found = str(own) if own.is_file() else shutil.which(name, path=SYSTEM)
    if found is None:
        missing = f"there is no {name} on the PATH (package: {PACKAGES.get(name, name)})"
        if os.environ.get("CI"):
            pytest.fail(f"expected every program in CI, but {missing}")
        pytest.skip(f"NOT TESTED: {missing}")
    return found
