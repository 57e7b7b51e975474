"""Running a plan: fits and scores side by side, each score as soon as its fits are there."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from trainer.benchmark.disk import write_whole
from trainer.benchmark.plan import FitJob, Job, Plan, ScoreJob, kind_of
from trainer.benchmark.tasks import Place, Work
from trainer.side_by_side import Todo, drive
from trainer.watch import Watch
from trainer.workers import Ended, Workers, single_threaded


@dataclass(frozen=True)
class Failure:
    """A job that could not be done."""

    name: str
    error: str
    trace: str = ""


class Board:
    """Which jobs wait, run, are done or have failed, and how long each kind takes."""

    def __init__(self, plan: Plan) -> None:
        self.waiting: list[Job] = [*plan.scores, *plan.fits]  # scores first: they free a picture
        self.running: dict[Job, float] = {}  # -> when it started
        self.failures: list[Failure] = []
        self._open: set[Job] = set(plan.fits)  # fits that are not there yet
        self._lost: set[Job] = set()
        self._taken = {kind: list(seconds) for kind, seconds in plan.seconds.items()}

    @property
    def is_over(self) -> bool:
        """Whether nothing waits and nothing runs."""
        return not (self.waiting or self.running)

    def next(self) -> Job | None:
        """The first job whose fits are there, now running."""
        for job in self.waiting:
            if isinstance(job, FitJob) or not self._open.intersection(job.fits):
                self.waiting.remove(job)
                self.running[job] = time.monotonic()
                return job
        return None

    def settle(self, job: Job, ended: Ended, watch: Watch) -> None:
        """Note how a job ended, give up what needs it, and tell."""
        watch.ended(job.name, seconds=self.end(job, ended), error=ended.error)
        for failure in self.drop():
            watch.ended(failure.name, seconds=0.0, error=failure.error)

    def end(self, job: Job, ended: Ended) -> float:
        """Note how a job ended; returns how long it took."""
        seconds = time.monotonic() - self.running.pop(job)
        if ended.error:
            self._lost.add(job)
            self.failures.append(Failure(job.name, ended.error, ended.trace))
        else:
            self._taken.setdefault(kind_of(job), []).append(seconds)
            self._open.discard(job)
        return seconds

    def drop(self) -> Iterator[Failure]:
        """Give up the scores one of whose fits failed."""
        for job in [one for one in self.waiting if isinstance(one, ScoreJob)]:
            if lost := self._lost.intersection(job.fits):
                self.waiting.remove(job)
                failure = Failure(job.name, f"lacks {len(lost)} of its {len(job.fits)} fits")
                self.failures.append(failure)
                yield failure

    def seconds_left(self, workers: int) -> float | None:
        """At the pace so far; None while no job like one of those to come has ended."""
        now = time.monotonic()
        begun = {**dict.fromkeys(self.waiting, now), **self.running}
        total = 0.0
        for job, started in begun.items():
            expected = self._expected(job)
            if expected is None:
                return None
            total += max(expected - (now - started), 0.0)
        return total / workers

    def _expected(self, job: Job) -> float | None:
        """How long such jobs took; those most like it, until there is one of its kind."""
        words = kind_of(job).split()
        for count in range(len(words), 0, -1):
            alike = [
                seconds
                for kind, taken in self._taken.items()
                if kind.split()[:count] == words[:count]
                for seconds in taken
            ]
            if alike:
                return fmean(alike)
        return None


def run(plan: Plan, place: Place, *, jobs: int, watch: Watch) -> list[Failure]:
    """Do what is to do; a job that fails stops no other. Returns the failures."""
    board = Board(plan)
    watch.begin(total=len(board.waiting), reused=plan.reused)
    with single_threaded():
        workers = Workers(jobs)
        try:
            todo: Todo[Job] = board
            drive(todo, lambda job: Work(place, job), workers, watch)
        finally:
            workers.end()
    _note(place.output, board.failures)
    return board.failures


def _note(output: Path, failures: list[Failure]) -> None:
    """Keep what went wrong for whoever looks into it."""
    path = output / "failures.txt"
    if failures:
        texts = (f"{one.name}: {one.error}\n{one.trace}" for one in failures)
        write_whole(path, "\n".join(texts).encode())
    else:
        path.unlink(missing_ok=True)
