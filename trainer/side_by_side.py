"""Many tasks side by side, each in a process of its own: one that fails stops no other."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from statistics import fmean
from typing import Protocol, TypeVar

from trainer.watch import Watch
from trainer.workers import Ended, Pool, Task, outcome

POLL_SECONDS = 0.2


class Named(Protocol):
    """Something to do, with a name."""

    @property
    def name(self) -> str: ...


Job = TypeVar("Job", bound=Named)


class Todo(Protocol[Job]):
    """Which jobs wait, which run, and what became of them."""

    @property
    def is_over(self) -> bool: ...

    def next(self) -> Job | None:
        """The next to start, now running; None while others have to end first."""

    def settle(self, job: Job, ended: Ended, watch: Watch) -> None:
        """Note how a job ended, and tell."""

    def seconds_left(self, workers: int) -> float | None:
        """At the pace so far, so many at once; None while nothing is known of it."""


def drive(todo: Todo[Job], task_of: Callable[[Job], Task], pool: Pool, watch: Watch) -> None:
    """Do all of it."""
    running: dict[Future[Ended], Job] = {}
    while not todo.is_over:
        while len(running) < pool.count and (job := todo.next()) is not None:
            running[pool.start(job.name, task_of(job))] = job
            watch.started(job.name)
        ended, _ = wait(running, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
        for said in pool.said():
            watch.moved(said.name, said.detail)
        for future in ended:
            todo.settle(running.pop(future), outcome(future), watch)
        watch.left(todo.seconds_left(pool.count))


def work_off(tasks: Mapping[str, Task], pool: Pool, watch: Watch) -> dict[str, str]:
    """Do all tasks in their order; name -> error of those that failed."""
    todo = _Tasks(dict(tasks), is_alone=pool.count == 1)
    drive(todo, lambda run: run.task, pool, watch)
    return todo.errors


@dataclass(frozen=True)
class _Run:
    """A task under way."""

    name: str
    task: Task
    is_alone: bool  # nothing beside it can have killed its process
    started: float = field(default_factory=time.monotonic)


@dataclass
class _Tasks:
    """Tasks in their order; one that may have killed others runs again by itself."""

    waiting: dict[str, Task]
    is_alone: bool  # never is anything beside a task
    alone: dict[str, Task] = field(default_factory=dict)  # whose process died among others
    running: dict[str, _Run] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    taken: list[float] = field(default_factory=list)  # seconds of each that was done

    @property
    def is_over(self) -> bool:
        return not (self.waiting or self.alone or self.running)

    def next(self) -> _Run | None:
        """The first that waits; then those that get the pool for themselves."""
        if self.waiting:
            return self._begun(self.waiting, is_alone=self.is_alone)
        if self.alone and not self.running:
            return self._begun(self.alone, is_alone=True)
        return None

    def settle(self, job: _Run, ended: Ended, watch: Watch) -> None:
        """A process that dies takes those beside it along: they try again."""
        del self.running[job.name]
        if ended.is_dead and not job.is_alone:
            self.alone[job.name] = job.task
            watch.moved(job.name, "its process died; again when nothing runs beside it")
            return
        seconds = time.monotonic() - job.started
        if ended.error:
            self.errors[job.name] = ended.error
        else:
            self.taken.append(seconds)
        watch.ended(job.name, seconds=seconds, error=ended.error)

    def seconds_left(self, workers: int) -> float | None:
        """By the mean of those that were done."""
        if not self.taken:
            return None
        now, usual = time.monotonic(), fmean(self.taken)
        begun = [max(usual - (now - run.started), 0.0) for run in self.running.values()]
        waiting = usual * (len(self.waiting) + len(self.alone))
        return max((sum(begun) + waiting) / workers, *begun, 0.0)

    def _begun(self, tasks: dict[str, Task], *, is_alone: bool) -> _Run:
        name = next(iter(tasks))
        self.running[name] = run = _Run(name, tasks.pop(name), is_alone)
        return run
