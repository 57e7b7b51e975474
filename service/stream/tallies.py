"""Tallies: how many points each model scored, by day. The commit of the points counts them."""

from collections import Counter

from redis import Redis

from service.stream.keys import scored_key

DAY_MS = 86_400_000


def scored_on(redis: Redis, shards: int, day: int) -> Counter[str]:
    """Points of one day by model, of all shards; `day` counts from 1970, in UTC."""
    pipeline = redis.pipeline(transaction=False)
    for shard in range(shards):
        pipeline.hgetall(scored_key(shard, day))
    counts: Counter[str] = Counter()
    for found in pipeline.execute():
        counts.update({model.decode(): int(points) for model, points in found.items()})
    return counts
