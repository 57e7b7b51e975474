import os
import signal
import time
from concurrent.futures import Future

import pytest
from rich.console import Console

from trainer.side_by_side import work_off
from trainer.watch import watching
from trainer.workers import DIED, Ended, Task, Tell, Workers, at_once


class Counted(Workers):
    """Remembers what was started."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.started: list[str] = []

    def start(self, name: str, task: Task) -> "Future[Ended]":
        self.started.append(name)
        return super().start(name, task)


def die(tell: Tell) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def rest(tell: Tell) -> None:
    tell("resting")
    time.sleep(0.5)


class Heard:
    """Remembers how many seconds were left whenever that was told."""

    def __init__(self) -> None:
        self.seconds: list[float | None] = []

    def begin(self, *, total: int, reused: int) -> None: ...
    def started(self, name: str) -> None: ...
    def moved(self, name: str, detail: str) -> None: ...
    def ended(self, name: str, *, seconds: float, error: str) -> None: ...

    def left(self, seconds: float | None) -> None:
        self.seconds.append(seconds)


def fail(tell: Tell) -> None:
    raise ValueError("no luck")


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_time_left_is_told_once_a_task_was_done() -> None:
    pool, heard = Workers(1), Heard()
    try:
        work_off({"a": rest, "b": rest, "c": fail, "d": rest}, pool, heard)
    finally:
        pool.end()
    known = [one for one in heard.seconds if one is not None]
    assert heard.seconds[0] is None
    assert known[0] > 1.0  # three such tasks are left
    assert known[-1] == 0.0


def test_tasks_of_several_threads_share_the_cores() -> None:
    cores, told = os.cpu_count() or 1, list[str]()
    assert at_once(None, threads=1, tell=told.append) == cores
    assert at_once(None, threads=cores, tell=told.append) == 1
    assert at_once(cores + 3, threads=1, tell=told.append) == cores + 3
    assert at_once(1, threads=2 * cores, tell=told.append) == 1
    assert told == []
    assert at_once(cores + 3, threads=2 * cores, tell=told.append) == 1
    assert told == [f"1 at once, not {cores + 3}: each has {2 * cores} threads of {cores}"]


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_what_fails_or_dies_takes_nothing_else_along() -> None:
    pool = Counted(2)
    try:
        with watching(Console(quiet=True)) as watch:
            errors = work_off({"a": rest, "b": die, "c": fail, "d": rest}, pool, watch)
    finally:
        pool.end()
    assert errors == {"b": DIED, "c": "no luck"}
    assert pool.started.count("b") == 2
