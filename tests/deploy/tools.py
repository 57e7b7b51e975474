"""What the tools that check a deployment say."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.programs import program
from tests.system.processes import ROOT

DEPLOY = ROOT / "deploy"


def said(
    name: str,
    *arguments: str | Path,
    cwd: Path = ROOT,
    seconds: float = 60,
    environment: Mapping[str, str] | None = None,
) -> str:
    """Stdout of a tool that must succeed."""
    result = subprocess.run(
        [program(name), *map(str, arguments)],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert result.returncode == 0, f"{name}: {result.stdout[-3_000:]}{result.stderr[-3_000:]}"
    return result.stdout
