"""Environments of peers: virtual ones of their own, so that nothing of them touches ours."""

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from rich.console import Console

PIP_SECONDS = 600


Found = TypeVar("Found")


class NoEnvironment(Exception):
    """The packages of a peer could not be installed."""


@contextlib.contextmanager
def environment(*packages: str, python: Path | None = None) -> Iterator[Path]:
    """The Python of a new environment with these packages, or `python` if that has them.

    Raises NoEnvironment with what pip said.
    """
    if python is not None:
        yield python
        return
    with tempfile.TemporaryDirectory(prefix="gaugewatch-peers-") as folder:
        made = Path(folder) / "bin" / "python"
        _run([sys.executable, "-m", "venv", folder])
        _run([str(made), "-m", "pip", "install", "--quiet", *packages])
        yield made


def beside_peers(
    measure: Callable[[Path | None], Found],
    packages: Sequence[str],
    *,
    python: Path | None,
    downloads: bool,
) -> tuple[Found, str]:
    """What `measure` finds with the Python of the peers, or with None; and why without, "": with.

    `python` has the packages already, if it is given; otherwise they are downloaded, or missing.
    """
    try:
        if python is None and not downloads:
            raise NoEnvironment("--quick downloads nothing")
        with environment(*packages, python=python) as peers:
            return measure(peers), ""
    except NoEnvironment as problem:
        Console(stderr=True).print(f"WITHOUT {', '.join(packages)}: {problem}", style="bold red")
        return measure(None), str(problem)


def _run(words: list[str]) -> None:
    try:
        ended = subprocess.run(words, capture_output=True, text=True, timeout=PIP_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoEnvironment(str(error)) from None
    if ended.returncode:
        raise NoEnvironment((ended.stderr or ended.stdout).strip()[-500:])
