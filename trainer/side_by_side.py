"""Many tasks side by side, each in a process of its own: one that fails stops no other."""

import time
from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from statistics import fmean

from trainer.watch import Watch
from trainer.workers import Ended, Pool, Task, outcome

POLL_SECONDS = 0.2


@dataclass(frozen=True)
class _Run:
    """A task under way."""

    name: str
    task: Task
    is_alone: bool  # nothing beside it can have killed its process
    started: float = field(default_factory=time.monotonic)


@dataclass
class _Board:
    """Which tasks wait, run alone or side by side, and what became of them."""

    waiting: dict[str, Task]
    alone: dict[str, Task] = field(default_factory=dict)  # whose process died among others
    running: "dict[Future[Ended], _Run]" = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    taken: list[float] = field(default_factory=list)  # seconds of each that was done

    @property
    def is_over(self) -> bool:
        return not (self.waiting or self.alone or self.running)

    def next(self, *, count: int) -> _Run | None:
        """The next to start; one that may have killed others has the pool for itself."""
        if self.waiting and len(self.running) < count:
            return _Run(*_first(self.waiting), is_alone=count == 1)
        if self.alone and not (self.waiting or self.running):
            return _Run(*_first(self.alone), is_alone=True)
        return None

    def seconds_left(self, *, count: int) -> float | None:
        """At the pace so far, so many at once; None before the first was done."""
        if not self.taken:
            return None
        now, usual = time.monotonic(), fmean(self.taken)
        begun = [max(usual - (now - run.started), 0.0) for run in self.running.values()]
        waiting = usual * (len(self.waiting) + len(self.alone))
        return max((sum(begun) + waiting) / count, *begun, 0.0)


def work_off(tasks: Mapping[str, Task], pool: Pool, watch: Watch) -> dict[str, str]:
    """Do all tasks in their order; name -> error of those that failed."""
    board = _Board(dict(tasks))
    while not board.is_over:
        while (run := board.next(count=pool.count)) is not None:
            board.running[pool.start(run.name, run.task)] = run
            watch.started(run.name)
        ended, _ = wait(board.running, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
        for said in pool.said():
            watch.moved(said.name, said.detail)
        for future in ended:
            _end(board, board.running.pop(future), outcome(future), watch)
        watch.left(board.seconds_left(count=pool.count))
    return board.errors


def _end(board: _Board, run: _Run, how: Ended, watch: Watch) -> None:
    """Note how a task ended; a process that dies takes those beside it along: they try again."""
    if how.is_dead and not run.is_alone:
        board.alone[run.name] = run.task
        watch.moved(run.name, "its process died; again when nothing runs beside it")
        return
    seconds = time.monotonic() - run.started
    if how.error:
        board.errors[run.name] = how.error
    else:
        board.taken.append(seconds)
    watch.ended(run.name, seconds=seconds, error=how.error)


def _first(tasks: dict[str, Task]) -> tuple[str, Task]:
    name = next(iter(tasks))
    return name, tasks.pop(name)
