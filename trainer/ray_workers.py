"""Workers on other machines: the same tasks in a Ray cluster; needs the extra `ray`.

Every machine has this package, and one folder that all of them see for what is written.
"""

from collections.abc import Iterator
from concurrent.futures import Future
from importlib import import_module
from logging import ERROR
from typing import Any

from service.errors import SettingInvalid
from trainer.workers import DIED, THREADS, Ended, Said, Task, attempt


class RayWorkers:
    """As many tasks at once as the cluster has CPUs for their threads; raises SettingInvalid."""

    def __init__(self, address: str, count: int | None = None, *, threads: int = 1) -> None:
        try:
            ray: Any = import_module("ray")  # an extra
            queue: Any = import_module("ray.util.queue")
        except ImportError:
            raise SettingInvalid("--ray needs the extra: pip install gaugewatch[ray]") from None
        environment = {"env_vars": dict.fromkeys(THREADS, "1")}
        try:
            ray.init(address, runtime_env=environment, log_to_driver=False, logging_level=ERROR)
        except (ConnectionError, ValueError) as error:
            raise SettingInvalid(f"no Ray cluster at {address}: {error}") from None
        self._ray, self._said = ray, queue.Queue()
        cores = int(ray.cluster_resources().get("CPU", 1))
        self.count = count or max(cores // threads, 1)
        self._do = ray.remote(num_cpus=min(threads, cores), max_retries=0)(_do)

    def start(self, name: str, task: Task) -> "Future[Ended]":
        """Have the task done somewhere."""
        ended: Future[Ended] = Future()
        answer = self._do.remote(name, task, self._said).future()
        answer.add_done_callback(lambda done: ended.set_result(self._outcome(done)))
        return ended

    def said(self) -> Iterator[Said]:
        """What was told since this was last asked."""
        yield from self._said.get_nowait_batch(self._said.qsize())

    def end(self) -> None:
        """Let go of the cluster; it ends what it is at."""
        self._ray.shutdown()

    def _outcome(self, done: "Future[Ended]") -> Ended:
        try:
            return done.result()
        except self._ray.exceptions.RayError as error:
            lines = str(error).splitlines() or [DIED]
            return Ended(f"{DIED} ({lines[0]})")


def _do(name: str, task: Task, said: Any) -> Ended:
    said.put(Said(name, ""))
    return attempt(task, lambda detail: said.put(Said(name, detail)))
