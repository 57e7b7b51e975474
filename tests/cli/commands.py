"""The commands, in this process and as processes of their own; files for them."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from service.cli import main
from service.scoring.series import Series
from tests.system.processes import ROOT, environment


@dataclass(frozen=True)
class Finished:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str


Command = Callable[..., Finished]


def gaugewatch(*words: str) -> Finished:
    """A process of its own; expects success."""
    ended = started(*words)
    assert ended.code == 0, ended
    return ended


def started(*words: str, seconds: float = 60, folder: Path = ROOT, **settings: object) -> Finished:
    """A process of its own, however it ends."""
    ended = subprocess.run(
        [sys.executable, "-m", "service.cli", *words],
        env=environment(settings),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=seconds,
    )
    return Finished(ended.returncode, ended.stdout, ended.stderr)


def called(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: str
) -> Finished:
    """The same in this process, which is quicker."""
    monkeypatch.setattr(sys, "argv", ["gaugewatch", *words])
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    code = ended.value.code
    return Finished(code if isinstance(code, int) else int(code is not None), said.out, said.err)


def assert_refused(ended: Finished, code: int, *words: str) -> None:
    """One line on stderr that says these words; nothing on stdout, no traceback."""
    assert (ended.code, ended.out) == (code, ""), ended
    lines = ended.err.strip().splitlines()
    assert len(lines) == 1, ended.err
    assert "Traceback" not in ended.err
    for word in words:
        assert word in lines[0]


def series_file(path: Path, series: Series, *, train: int = 3) -> Path:
    """The series as the test half of an NPZ."""
    np.savez(
        path,
        train=series.values[:train],
        test=series.values,
        timestamps=series.timestamps_ms / 1000,
        dimensions=np.array(series.dimensions),
    )
    return path
