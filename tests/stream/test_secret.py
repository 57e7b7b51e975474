from redis import Redis

from service.stream.keys import SECRET_KEY
from service.stream.secret import SECRET_BYTES, shared_secret
from service.stream.store import Store


def test_who_comes_first_makes_the_secret_of_all(redis_url: str) -> None:
    stores = [Store(redis_url) for _ in range(3)]
    [secret] = {shared_secret(store) for store in stores}
    assert len(secret) == SECRET_BYTES
    with Redis.from_url(redis_url) as redis:
        assert redis.ttl(SECRET_KEY) == -1  # for ever, as the configuration
    assert shared_secret(stores[0]) == secret
    for store in stores:
        store.close()
