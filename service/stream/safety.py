"""Safety: how Redis must be set up to keep what we promise."""

from typing import Final, Literal

from redis import Redis

from service.errors import StoreMisconfigured

Durability = Literal["always", "everysec", "replicated"]
_SAFE_FSYNC: Final = {
    "always": ("always",),
    "everysec": ("always", "everysec"),
    "replicated": ("always",),
}


def refuse_unsafe(redis: Redis, *, durability: Durability, is_cluster: bool) -> None:
    """Name the fix of what would lose data, or cannot work. Raises StoreMisconfigured."""
    if redis.info("cluster").get("cluster_enabled") and not is_cluster:
        raise StoreMisconfigured(
            "expected one Redis, came a node of a cluster; "
            "fix: redis+cluster:// (or rediss+cluster://) in the Redis URL"
        )
    safe = {
        "maxmemory-policy": ("noeviction",),
        "appendonly": ("yes",),
        "appendfsync": _SAFE_FSYNC[durability],
    }
    config = redis.config_get(*safe)
    for name, good in safe.items():
        if config.get(name) not in good:
            raise StoreMisconfigured(
                f"durability {durability!r} expects Redis with {name} {' or '.join(good)}, "
                f"came {config.get(name)}; fix: CONFIG SET {name} {good[0]}, or in redis.conf"
            )
