"""The house stands: the import contracts hold, and each of them bites."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
VIOLATIONS = {
    "the service sees torch": ("service/web/routes.py", "import torch"),
    "the service sees the trainer": ("service/stream/models.py", "import trainer.fit"),
    "the trainer sees the stream floor": ("trainer/run.py", "import service.stream.store"),
    "the scoring floor sees Redis": ("service/scoring/tail.py", "import redis"),
    "the stream floor sees the web floor": ("service/stream/lane.py", "import service.web.app"),
    "the scoring floor sees the stream floor": (
        "service/scoring/fold.py",
        "import service.stream.rows",
    ),
}


def contracts_of(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture
def house(tmp_path: Path) -> Path:
    for part in ("service", "trainer"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


@pytest.mark.slow
def test_the_contracts_are_kept(house: Path) -> None:
    found = contracts_of(house)
    assert found.returncode == 0, found.stdout
    assert "Contracts: 4 kept, 0 broken." in found.stdout


@pytest.mark.slow
@pytest.mark.parametrize("name", VIOLATIONS)
def test_a_broken_contract_is_told(house: Path, name: str) -> None:
    file, line = VIOLATIONS[name]
    path = house / file
    path.write_text(f"{path.read_text()}\n{line}\n")
    found = contracts_of(house)
    assert found.returncode != 0
    assert "BROKEN" in found.stdout
