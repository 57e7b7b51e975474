import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.trainer.small_bench import ROWS, place_of, planned
from trainer.benchmark.disk import only_writer
from trainer.benchmark.results import read_runs
from trainer.benchmark.runs import Board, run
from trainer.benchmark.tasks import Place
from trainer.workers import Ended, single_threaded

ROOT = Path(__file__).parents[2]


class Heard:
    """A watch that remembers."""

    def __init__(self) -> None:
        self.endings: dict[str, str] = {}
        self.details: list[str] = []
        self.total = 0

    def begin(self, *, total: int, reused: int) -> None:
        self.total = total

    def started(self, name: str) -> None:
        assert name not in self.endings

    def moved(self, name: str, detail: str) -> None:
        self.details.append(detail)

    def ended(self, name: str, *, seconds: float, error: str) -> None:
        self.endings[name] = error

    def left(self, seconds: float | None) -> None:
        assert seconds is None or seconds >= 0


def drafts(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if "draft" in path.name or path.name == "half"]


# ---- the order


def test_a_score_starts_as_soon_as_its_fits_are_there(tmp_path: Path) -> None:
    plan = planned(place_of(tmp_path, rows=ROWS[:1]), "smd", seeds=2)
    board = Board(plan)
    names = []
    while (job := board.next()) is not None:
        names.append(job.name)
        board.end(job, Ended())
    assert names[4] == "score smd ours seed 0"
    assert names[9] == "score smd ours seed 1"
    assert len(names) == 10


def test_a_score_whose_fit_failed_is_given_up_and_counted(tmp_path: Path) -> None:
    board = Board(planned(place_of(tmp_path, rows=ROWS[:1]), "smd", seeds=2))
    first = board.next()
    assert first is not None
    board.end(first, Ended("broken"))
    (failure,) = board.drop()
    assert failure.name == "score smd ours seed 0"
    assert failure.error == "lacks 1 of its 4 fits"
    assert [one.name for one in board.failures] == [first.name, failure.name]


def test_the_time_left_is_that_of_jobs_alike(tmp_path: Path) -> None:
    plan = planned(place_of(tmp_path, rows=ROWS[:1]), "smd", seeds=2)  # 8 fits, 2 scores
    assert Board(plan).seconds_left(2) is None
    known: dict[str, tuple[float, ...]] = {"fit ours": (2.0, 4.0), "fit other": (100.0,)}
    assert Board(replace(plan, seconds=known)).seconds_left(2) is None
    known |= {"score smd other": (5.0,), "score injected ours": (50.0,)}
    assert Board(replace(plan, seconds=known)).seconds_left(2) == (8 * 3.0 + 2 * 5.0) / 2


# ---- processes


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_run_does_everything_and_a_failing_job_stops_no_other(tmp_path: Path) -> None:
    place, heard = place_of(tmp_path, rows=ROWS[:3]), Heard()
    (place.data / "break").write_text("beta")
    failures = run(planned(place, "smd", seeds=1), place, jobs=2, watch=heard)
    assert [(one.name, one.error) for one in failures] == [
        ("fit smd ours seed 0 beta", "the loss of this one is NaN"),
        ("score smd ours seed 0", "lacks 1 of its 4 fits"),
        ("fit smd untrained seed 0 beta", "the loss of this one is NaN"),
        ("score smd untrained seed 0", "lacks 1 of its 4 fits"),
    ]
    assert "Traceback" in (place.output / "failures.txt").read_text()
    assert len(heard.endings) == heard.total == 11
    assert [one.row for one in read_runs(place.output)] == ["pca"]
    assert drafts(place.output) == []
    (place.data / "break").unlink()
    again = Heard()
    assert run(planned(place, "smd", seeds=1), place, jobs=2, watch=again) == []
    assert again.total == 4
    assert "measuring" in again.details
    assert not (place.output / "failures.txt").exists()


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_process_that_dies_is_a_failure_and_the_others_go_on(tmp_path: Path) -> None:
    place, heard = place_of(tmp_path, rows=ROWS[:1]), Heard()
    (place.data / "die").write_text("gamma")
    failures = run(planned(place, "smd", seeds=2), place, jobs=1, watch=heard)
    died = [one.name for one in failures if "died" in one.error]
    assert died == ["fit smd ours seed 0 gamma", "fit smd ours seed 1 gamma"]
    assert sum(not error for error in heard.endings.values()) == 6
    with only_writer(place.output):
        assert drafts(place.output) == []


def start(place: Place) -> "subprocess.Popen[str]":
    """The command, in a process group of its own as a shell would start it."""
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "tests.trainer.small_bench", "--jobs", "2"),
            *("--data", str(place.data), "--output", str(place.output)),
            *("--rows", "ours,pca", "--suites", "smd", "--seeds", "1", "--json"),
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for_half(place: Place) -> None:
    deadline = time.monotonic() + 90
    while not list(place.output.rglob("half")):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def wait_until_gone(group: int) -> None:
    """Every process of the group, the last of which may end a little after the first."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    raise AssertionError("processes are left over")


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("is_to_all", [True, False])
def test_an_interrupt_leaves_nothing_half_written_and_the_next_run_goes_on(
    tmp_path: Path, is_to_all: bool
) -> None:
    place = place_of(tmp_path)
    (place.data / "wait").write_text("delta")
    stopped = start(place)
    wait_for_half(place)
    if is_to_all:
        os.killpg(stopped.pid, signal.SIGINT)  # as a terminal does
    else:
        stopped.send_signal(signal.SIGINT)
    _, said = stopped.communicate(timeout=90)
    assert stopped.returncode == 130
    assert "the same command goes on" in said
    assert "Traceback" not in said
    assert drafts(place.output) == []
    wait_until_gone(stopped.pid)
    (place.data / "wait").unlink()
    out, said = start(place).communicate(timeout=90)
    assert json.loads(out)["suites"]["smd"]["rows"].keys() == {"ours", "pca"}
    assert "fit smd ours seed 0 delta" in said
    assert "fit smd ours seed 0 alpha" not in said


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_killed_run_takes_its_processes_along_and_its_drafts_are_swept(tmp_path: Path) -> None:
    place = place_of(tmp_path)
    (place.data / "wait").write_text("delta")
    killed = start(place)
    wait_for_half(place)
    killed.kill()
    killed.communicate(timeout=90)
    wait_until_gone(killed.pid)
    assert drafts(place.output) != []
    with only_writer(place.output):
        assert drafts(place.output) == []
    names = [job.name for job in planned(place, "smd", seeds=1).fits]
    assert names[0] == "fit smd ours seed 0 delta"


def test_processes_compute_in_one_thread_only_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    with single_threaded():
        assert os.environ["OMP_NUM_THREADS"] == os.environ["MKL_NUM_THREADS"] == "1"
    assert os.environ["OMP_NUM_THREADS"] == "3"
    assert "MKL_NUM_THREADS" not in os.environ
