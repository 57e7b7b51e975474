"""A secret that all replicas share: made by whoever starts first, kept as the configuration is."""

import secrets
from typing import Any, Final

from service.errors import StoreUnavailable
from service.stream.keys import SECRET_KEY
from service.stream.store import Store

SECRET_BYTES: Final = 32


def shared_secret(store: Store) -> bytes:
    """The same bytes for every process on this Redis. Raises StoreUnavailable."""
    new = secrets.token_bytes(SECRET_BYTES)
    store.ask(SECRET_KEY, lambda redis: redis.set(SECRET_KEY, new, nx=True))
    found: Any = store.ask(SECRET_KEY, lambda redis: redis.get(SECRET_KEY))
    if not isinstance(found, bytes) or len(found) != SECRET_BYTES:
        raise StoreUnavailable("the secret of the replicas is not there; try again")
    return found
