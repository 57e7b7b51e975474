"""The connection to a Redis that sentinels watch: whichever server they name as the primary."""

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from redis import Redis
from redis.exceptions import ConnectionError as RedisGone, ReadOnlyError

from service.errors import SettingInvalid
from service.stream.patience import AGAIN, Patience
from service.stream.places import Places, netloc

Answer = TypeVar("Answer")
Item = TypeVar("Item")

SUFFIX: Final = "+sentinel"
DEFAULT_PORT: Final = 26_379
PRIMARY: Final = (b"master", "master")  # as ROLE says it
_QUICK: Final = Patience(connect_seconds=0.1, command_seconds=0.1, budget_seconds=0)


def is_watched(url: str) -> bool:
    """Whether a URL names sentinels: `redis+sentinel://` or `rediss+sentinel://`."""
    return urlsplit(url).scheme.endswith(SUFFIX)


class Sentinels:
    """Asked in turn who is the primary; for one thread at a time."""

    def __init__(self, url: str) -> None:
        """Raises SettingInvalid."""
        self._places = Places(url, default_port=DEFAULT_PORT)
        self._hosts = list(self._places.hosts)
        self._name = self._places.path.strip("/")
        if not self._name or "/" in self._name:
            raise SettingInvalid(
                "expected redis+sentinel://host:port,host:port/name-of-the-primary"
            )

    def primary(self) -> str:
        """URL of the primary by the word of one sentinel, the next one the next time it fails."""
        try:
            with _QUICK.client(self._url_of(*self._hosts[0])) as sentinel:
                found: Any = sentinel.sentinel_get_master_addr_by_name(self._name)
            if not found:
                raise RedisGone(f"a sentinel knows no primary of the name {self._name}")
        except AGAIN:
            self._hosts = self._hosts[1:] + self._hosts[:1]
            raise
        host, port = found
        return self._places.url_at(host.decode() if isinstance(host, bytes) else host, int(port))

    def _url_of(self, host: str, port: int) -> str:
        """Sentinels have no databases, and no users of the servers they watch."""
        options = [(name, value) for name, value in parse_qsl(self._places.query) if name != "db"]
        parts = (self._places.scheme, netloc(host, port), "", urlencode(options), "")
        return urlunsplit(parts)


class Watched:
    """One Redis, looked for again when it fails; for one thread at a time."""

    def __init__(self, url: str, patience: Patience) -> None:
        self._patience = patience
        self._sentinels = Sentinels(url)
        self._client: Redis | None = None

    def ask(self, key: str | bytes, action: Callable[[Redis], Answer]) -> Answer:  # noqa: ARG002
        """The primary has every key."""
        return self._asked(action)

    def ask_each(
        self,
        items: Sequence[Item],
        key_of: Callable[[Item], bytes],  # noqa: ARG002
        action: Callable[[Redis, Sequence[Item]], Sequence[Answer]],
    ) -> list[Answer]:
        """All items in one call."""
        return list(self._asked(lambda redis: action(redis, items))) if items else []

    def ask_nodes(self, action: Callable[[Redis], Answer]) -> list[Answer]:
        """Only the primary takes writes."""
        return [self._asked(action)]

    def close(self) -> None:
        """Let go of it."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _asked(self, action: Callable[[Redis], Answer]) -> Answer:
        def attempt() -> Answer:
            try:
                if self._client is None:
                    url = self._sentinels.primary()
                    self._client = self._patience.client(url, connected=only_primary)
                return action(self._client)
            except AGAIN:
                self.close()
                raise
            except ReadOnlyError as error:
                self.close()
                raise RedisGone("it is no longer the primary") from error

        return self._patience.repeated(attempt)


def only_primary(connection: Any) -> None:
    """For every new connection: a server may have been made a replica while we were away."""
    connection.on_connect()
    connection.send_command("ROLE")
    refuse_replica(connection.read_response())


def refuse_replica(role: Sequence[Any]) -> None:
    """A sentinel may be behind, and a replica would take no writes."""
    if role[0] not in PRIMARY:
        raise RedisGone("expected a primary, came a replica")
