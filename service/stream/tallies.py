"""Tallies: how many points each model scored, by day. The commit of the points counts them."""

from collections import Counter
from collections.abc import Sequence

from redis import Redis

from service.stream.keys import scored_key

DAY_MS = 86_400_000


def scored_on(redis: Redis, shards: Sequence[int], *, day: int) -> list[Counter[str]]:
    """Points of one day by model, of each shard; `day` counts from 1970, in UTC."""
    pipeline = redis.pipeline(transaction=False)
    for shard in shards:
        pipeline.hgetall(scored_key(shard, day))
    return [
        Counter({model.decode(): int(points) for model, points in found.items()})
        for found in pipeline.execute()
    ]
