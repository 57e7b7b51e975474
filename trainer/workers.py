"""Workers: processes that do a task each and tell what they are at."""

import multiprocessing
import os
import signal
import traceback
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import wait
from multiprocessing.queues import Queue
from queue import Empty
from threading import Thread
from typing import Protocol

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

DIED = "its process died; memory may have run out"

Tell = Callable[[str], None]  # hears how far a task is
Task = Callable[[Tell], None]  # must be picklable


@dataclass(frozen=True)
class Ended:
    """How a task ended."""

    error: str = ""  # one line; empty: it is done
    trace: str = ""

    @property
    def is_dead(self) -> bool:
        """Whether its process died, or one beside it that took it along."""
        return self.error == DIED


@dataclass(frozen=True)
class Said:
    """A worker tells how far the task of this name is."""

    name: str
    detail: str


class Pool(Protocol):
    """Somewhere tasks are done, `count` at a time."""

    @property
    def count(self) -> int: ...

    def start(self, name: str, task: Task) -> "Future[Ended]":
        """Have the task done."""

    def said(self) -> Iterable[Said]:
        """What was told since this was last asked."""

    def end(self) -> None:
        """Let go of everything, whatever it is at."""


def outcome(future: "Future[Ended]") -> Ended:
    """How a task ended, its process's death included."""
    try:
        return future.result()
    except BrokenProcessPool:
        return Ended(DIED)


def at_once(wanted: int | None, *, threads: int, tell: Callable[[str], object]) -> int:
    """How many tasks of so many threads run side by side: as many as the cores have room for.

    Tasks keep their threads, for sums depend on how many there are. Of one thread there may be more
    than cores where that is wanted.
    """
    room = max((os.cpu_count() or 1) // threads, 1)
    if wanted is None or (threads > 1 and wanted > room):
        if wanted is not None:
            tell(f"{room} at once, not {wanted}: each has {threads} threads of {os.cpu_count()}")
        return room
    return wanted


class Workers:
    """A pool of processes that end with this one.

    A worker that dies takes its pool along, so a new pool is made when the next task comes.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._context = multiprocessing.get_context("spawn")
        self._open()

    def _open(self) -> None:
        self._said: Queue[Said] = self._context.Queue()
        self._stay, self._leave = self._context.Pipe(duplex=False)
        self._pool = ProcessPoolExecutor(
            self.count, self._context, initializer=_begin, initargs=(self._said, self._stay)
        )

    def start(self, name: str, task: Task) -> "Future[Ended]":
        """Have the task done."""
        with _uninterrupted():
            try:
                return self._pool.submit(_do, name, task)
            except BrokenProcessPool:
                self.end()
                self._open()
                return self._pool.submit(_do, name, task)

    def said(self) -> Iterator[Said]:
        """What was told since this was last asked."""
        while True:
            try:
                yield self._said.get_nowait()
            except Empty:
                return

    def end(self) -> None:
        """Let go of the processes, whatever they are at."""
        self._leave.close()
        self._stay.close()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._said.close()


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Processes that start meanwhile leave interrupts to this one."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def single_threaded() -> Iterator[None]:
    """Processes that start meanwhile compute in one thread: libraries read this when they load."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


# ---- inside a worker

_told: "list[Queue[Said]]" = []  # the queue of this process


def _begin(said: "Queue[Said]", stay: object) -> None:
    """Leave when the parent does or says so."""
    _told[:] = [said]
    Thread(target=_leave_on, args=(stay,), daemon=True).start()


def _leave_on(stay: object) -> None:
    wait([stay])  # type: ignore[list-item]
    os._exit(1)


def _do(name: str, task: Task) -> Ended:
    (said,) = _told
    said.put(Said(name, ""))
    return attempt(task, lambda detail: said.put(Said(name, detail)))


def attempt(task: Task, tell: Tell) -> Ended:
    """Do a task; what goes wrong is how it ended."""
    try:
        task(tell)
    except Exception as error:  # noqa: BLE001  one task fails, the others go on
        text = " ".join(str(error).split()) or type(error).__name__
        return Ended(text, traceback.format_exc())
    return Ended()
