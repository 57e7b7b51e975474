"""The proxy does what the fault runs believe it does."""

import time
from collections.abc import Iterator

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisGone, TimeoutError as RedisSlow
from redis.retry import Retry

from tests.chaos.proxy import Proxy
from tests.system.processes import RedisServer

pytestmark = pytest.mark.slow


@pytest.fixture
def proxy(redis_server: RedisServer) -> Iterator[Proxy]:
    with Proxy(redis_server.port, seed=0) as proxy:
        yield proxy


@pytest.fixture
def client(proxy: Proxy) -> Iterator[Redis]:
    once = Retry(NoBackoff(), 0)
    with Redis.from_url(proxy.url, retry=once, socket_timeout=0.2, protocol=2) as client:
        yield client


def test_what_is_asked_is_answered(client: Redis) -> None:
    assert client.set("key", b"x" * 300_000)
    assert client.get("key") == b"x" * 300_000


def test_a_swallowed_reply_was_a_command_that_ran(proxy: Proxy, client: Redis) -> None:
    client.ping()
    proxy.swallowed_share = 1.0
    with pytest.raises(RedisSlow):
        client.incr("count")
    proxy.swallowed_share = 0.0
    assert client.get("count") == b"1"
    assert proxy.swallowed == 1


def test_a_black_hole_lets_no_command_through(proxy: Proxy, client: Redis) -> None:
    client.ping()
    proxy.is_black_hole = True
    for _ in range(2):  # on the old connection, and on a new one
        with pytest.raises(RedisSlow):
            client.incr("count")
    proxy.is_black_hole = False
    assert client.get("count") is None


def test_a_delay_is_a_delay(proxy: Proxy, client: Redis) -> None:
    client.ping()
    proxy.delay_seconds, start = 0.05, time.monotonic()
    client.ping()
    assert time.monotonic() - start >= 0.05


def test_without_a_server_behind_it_connections_end(
    redis_server: RedisServer, client: Redis
) -> None:
    client.ping()
    redis_server.kill()
    with pytest.raises(RedisGone):
        client.ping()
