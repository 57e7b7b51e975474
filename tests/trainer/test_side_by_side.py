import os
import signal
import time
from concurrent.futures import Future

import pytest
from rich.console import Console

from trainer.side_by_side import work_off
from trainer.watch import watching
from trainer.workers import DIED, Ended, Task, Tell, Workers


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


def fail(tell: Tell) -> None:
    raise ValueError("no luck")


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
