"""Points that Redis had taken and lost: counted, and told as a gap with the next commit."""

from contextlib import closing
from pathlib import Path
from typing import Any

from redis import Redis

from service.stream.incident_messages import Wanted
from service.stream.incidents import Incidents
from service.stream.ingest import Ingest
from service.stream.keys import entity_keys
from service.stream.models import Models
from service.stream.store import Store, StoreOptions
from tests.stream.test_silence import SHARDS, alerts_in, points_like


def kept_of(client: Redis, entity: str) -> dict[bytes, bytes]:
    """What Redis has of an entity."""
    found: dict[bytes, Any] = {key: client.dump(key) for key in entity_keys(entity, SHARDS)}
    return found


async def test_what_is_lost_is_counted_and_told_once_as_a_gap(
    redis_url: str, bundle_folder: Path
) -> None:
    points = points_like("alpha", 60)
    models = Models(bundle_folder, default="tiny")
    options = StoreOptions(durability="everysec", shards=SHARDS)
    with closing(Store(redis_url, options)) as store, Redis.from_url(redis_url) as client:
        store.check()
        async with Ingest(store, models) as ingest:
            await ingest.submit(points[:30])
            kept = kept_of(client, "alpha")
            await ingest.submit(points[30:42])
            for key, content in kept.items():  # the last second is gone
                client.restore(key, 0, content, replace=True)
            answers = await ingest.submit(points[42:50])
            assert [one.status for one in answers] == ["scored"] * 8
            assert ingest.lost_points == {models.serving.fold_of("alpha").bundle.title: 12}
            (told,) = alerts_in(client)
            assert (told.kind, told.reason) == ("resolved", "points_lost")
            assert told.timestamp_ms == points[29].timestamp_ms
            assert "12 points" in told.summary
            await ingest.submit(points[50:])
            assert len(alerts_in(client)) == 1
        assert not Incidents(store).page(Wanted(), limit=10, after=None).incidents  # it is news
