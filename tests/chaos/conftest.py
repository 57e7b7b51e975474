"""The length of the fault runs, the processes they share, and the table at the end."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.chaos.seen import Row, table, write
from tests.system.processes import ROOT, RedisServer

RESULTS: Final = ROOT / "benchmarks" / "results" / "chaos.json"
ROWS: Final = pytest.StashKey[list[Row]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--chaos", choices=("short", "full"), default="short", help="how long faults are made"
    )


@dataclass(frozen=True)
class Length:
    """Of the fault runs."""

    is_full: bool

    def of(self, short: int, *, full: int) -> int:
        """How often, or how many seconds, a fault is made."""
        return full if self.is_full else short


@pytest.fixture(scope="session")
def length(pytestconfig: pytest.Config) -> Length:
    return Length(pytestconfig.getoption("chaos", "short") == "full")


@pytest.fixture(scope="session")
def seen(pytestconfig: pytest.Config) -> list[Row]:
    """Rows that tests add."""
    return pytestconfig.stash.setdefault(ROWS, [])


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path / "redis") as server:
        yield server


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    rows = config.stash.get(ROWS, [])
    if not rows:
        return
    terminalreporter.section("faults and what they did")
    for line in table(rows):
        terminalreporter.write_line(line)
    if config.getoption("chaos", "short") == "full":
        write(RESULTS, rows)
