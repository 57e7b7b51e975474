"""Workers: processes of one thread each that do a job and tell what they are at."""

import multiprocessing
import os
import signal
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import wait
from multiprocessing.queues import Queue
from queue import Empty
from threading import Thread

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

Tell = Callable[[str], None]  # hears how far a task is
Task = Callable[[Tell], None]  # must be picklable


@dataclass(frozen=True)
class Ended:
    """How a task ended."""

    error: str = ""  # one line; empty: it is done
    trace: str = ""


@dataclass(frozen=True)
class Said:
    """A worker tells how far the task of this name is."""

    name: str
    detail: str


class Workers:
    """A pool of processes that end with this one.

    A worker that dies takes its pool along, so a new pool is made when the next task comes.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._context = multiprocessing.get_context("spawn")
        self._open()

    def _open(self) -> None:
        self._said: Queue[Said] = self._context.Queue()
        self._stay, self._leave = self._context.Pipe(duplex=False)
        self._pool = ProcessPoolExecutor(
            self._count, self._context, initializer=_begin, initargs=(self._said, self._stay)
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
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
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
    try:
        task(lambda detail: said.put(Said(name, detail)))
    except Exception as error:  # noqa: BLE001  one task fails, the others go on
        text = " ".join(str(error).split()) or type(error).__name__
        return Ended(text, traceback.format_exc())
    return Ended()
