"""The connection to a Redis Cluster: every call goes to the node that serves its hash tag.

A script, or a transaction, cannot span hash tags. Calls of several tags are sent side by side, so
that a node writes them to its disk together.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any, Final, TypeVar

from redis import Redis
from redis.exceptions import AskError, MovedError

from service.stream.patience import AGAIN, Patience
from service.stream.topology import Topology

Answer = TypeVar("Answer")
Item = TypeVar("Item")

MAX_CALLS_AT_ONCE: Final = 8


class Cluster:
    """Plain clients of its nodes; for one thread at a time. Connects when first asked."""

    def __init__(self, url: str, patience: Patience) -> None:
        self._patience = patience
        self._topology = Topology(url, patience)
        self._clients: dict[str, Redis] = {}
        self._threads = ThreadPoolExecutor(MAX_CALLS_AT_ONCE, thread_name_prefix="cluster")

    def ask(self, key: str | bytes, action: Callable[[Redis], Answer]) -> Answer:
        """What is known where this key lies."""
        where = key.encode() if isinstance(key, str) else key
        return self._asked({where: action})[where]

    def ask_each(
        self,
        items: Sequence[Item],
        key_of: Callable[[Item], bytes],
        action: Callable[[Redis, Sequence[Item]], Sequence[Answer]],
    ) -> list[Answer]:
        """One call per key; answers in the order of the items."""
        groups: dict[bytes, list[int]] = {}
        for number, item in enumerate(items):
            groups.setdefault(key_of(item), []).append(number)

        def call(numbers: Sequence[int]) -> Callable[[Redis], Sequence[Answer]]:
            return lambda redis: action(redis, [items[number] for number in numbers])

        found = self._asked({key: call(numbers) for key, numbers in groups.items()})
        answers: dict[int, Answer] = {}
        for key, numbers in groups.items():
            answers.update(zip(numbers, found[key], strict=True))
        return [answers[number] for number in range(len(items))]

    def ask_nodes(self, action: Callable[[Redis], Answer]) -> list[Answer]:
        """What each primary says."""

        def ask_all() -> list[Answer]:
            return [action(self._client(url)) for url in self._topology.primaries()]

        return self._patience.repeated(lambda: self._followed(ask_all))

    def close(self) -> None:
        """Let go of all nodes."""
        self._threads.shutdown()
        self._topology.close()
        for client in self._clients.values():
            client.close()

    def _asked(self, calls: Mapping[bytes, Callable[[Redis], Answer]]) -> dict[bytes, Answer]:
        """Answers by key. What was answered is not asked again when others have to be."""
        answers: dict[bytes, Answer] = {}

        def ask_rest() -> dict[bytes, Answer]:
            rest = [key for key in calls if key not in answers]
            urls = self._topology.urls_of(rest)
            asked = [
                self._threads.submit(self._answer, self._client(url), calls[key])
                for key, url in zip(rest, urls, strict=True)
            ]
            wait(asked)
            failures = [error for one in asked if (error := one.exception()) is not None]
            for key, one in zip(rest, asked, strict=True):
                if one.exception() is None:
                    answers[key] = one.result()
            for error in sorted(failures, key=lambda error: isinstance(error, AGAIN)):
                raise error  # one that cannot be helped, if there is one
            return answers

        return self._patience.repeated(lambda: self._followed(ask_rest))

    def _followed(self, attempt: Callable[[], Answer]) -> Answer:
        """An attempt that failed is a reason to look where the keys are now."""
        try:
            return attempt()
        except AGAIN:
            self._topology.doubt()
            raise

    def _answer(self, client: Redis, call: Callable[[Redis], Answer]) -> Answer:
        try:
            return call(client)
        except MovedError:
            raise
        except AskError as error:
            target = self._client(self._topology.url_at(error.host, error.port))
            return call(_Asking(connection_pool=target.connection_pool))

    def _client(self, url: str) -> Redis:
        if url not in self._clients:
            self._clients.setdefault(url, self._patience.client(url))
        return self._clients[url]


class _Asking(Redis):
    """A client of the node that a slot is just moving to; pipelines have to wait until it has."""

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """The command, after the word that it may be served already."""
        with self.pipeline(transaction=False) as pipeline:
            pipeline.execute_command("ASKING")  # type: ignore[no-untyped-call]
            pipeline.execute_command(*args, **options)  # type: ignore[no-untyped-call]
            _, answer = pipeline.execute(raise_on_error=False)
        if isinstance(answer, Exception):
            raise answer
        return answer
