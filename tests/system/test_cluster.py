"""The service on a Redis Cluster: answers as on one Redis, also while slots and primaries move."""

import os
import random
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2
import pytest
from redis import Redis

from service.errors import StoreMisconfigured, StoreUnavailable
from service.stream.commit import Commit, Layout, Outcome
from service.stream.keys import entity_index_key, entity_keys, shard_of
from service.stream.messages import Point
from service.stream.roster import entity_count
from service.stream.store import Store, StoreOptions
from tests.builders import ENTITIES
from tests.system.conftest import Undisturbed
from tests.system.nodes import Node, Nodes, alerts_on
from tests.system.processes import Service, until
from tests.system.replays import (
    SERIES,
    SHARDS,
    Refused,
    Replay,
    Run,
    assert_same_verdicts,
    by_entity,
    client_of,
    interleaved,
    lost_points,
    post_until_acknowledged,
    requests_of,
    without_gaps,
)
from tests.system.subscribers import Subscriber, now_and_then

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

LAYOUT = Layout(row_bytes=4, capacity=8, digest="a1")
FIRST, LAST = (entity_index_key(shard_of(entity, SHARDS)) for entity in ENTITIES)


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    """Three primaries, one of them with a replica."""
    with Nodes(tmp_path / "nodes", replicas=1) as started:
        yield started


def json_of(client: httpx2.Client, path: str) -> Any:
    return client.get(path).raise_for_status().json()


def assert_only_503(refusals: list[Refused]) -> None:
    assert {(refusal.status, refusal.code) for refusal in refusals} <= {(503, "store_unavailable")}


def test_all_of_the_service_is_as_on_one_redis(
    bundle_folder: Path, tmp_path: Path, nodes: Nodes, undisturbed: Undisturbed
) -> None:
    run = Run()
    with (
        Service(bundle_folder, tmp_path, redis_url=nodes.url) as service,
        Service(bundle_folder, tmp_path, redis_url=nodes.url) as replica,
        Subscriber(service) as live,
        Subscriber(replica, is_cut=now_and_then(3)) as cut_off,
        client_of(service) as client,
        client_of(replica) as other,
    ):
        assert nodes.serving(FIRST) is not nodes.serving(LAST), "requests span nodes"
        choice = random.Random(51)
        for request in requests_of(interleaved(SERIES), seed=51, largest=47):
            post_until_acknowledged(choice.choice([client, other]), request, run)
        count = sum(map(len, undisturbed.alerts.values()))
        live.until(count)
        cut_off.until(count)
        assert_only_503(run.refusals)  # a loaded machine may be late
        assert_same_verdicts(run, undisturbed.run.verdicts)
        assert alerts_on(nodes, shards=SHARDS) == undisturbed.alerts
        assert_agreed(client, other)
        assert_managed(other)
    for subscriber in (live, cut_off):
        assert subscriber.gaps == []
        assert by_entity(subscriber.alerts) == undisturbed.alerts


def assert_managed(client: httpx2.Client) -> None:
    """What is read, labelled, decided and deleted, over all shards."""
    incidents = json_of(client, "/v1/incidents?limit=500")["incidents"]
    assert {one["entity"] for one in incidents} == set(ENTITIES)
    opened = [one["opened_ms"] for one in incidents]
    assert opened == sorted(opened, reverse=True)
    name = incidents[0]["incident"]
    said = client.put(f"/v1/incidents/{name}/note", json={"label": "true"}).raise_for_status()
    assert said.json()["note"]["label"] == "true"
    assert json_of(client, "/v1/promise")
    for entity in ENTITIES:
        assert json_of(client, f"/v1/entities/{entity}")["entity"] == entity
    assert client.delete(f"/v1/entities/{ENTITIES[1]}").status_code == 204
    assert client.get(f"/v1/entities/{ENTITIES[1]}").status_code == 404
    assert client.get("/readyz").status_code == 200


def assert_agreed(client: httpx2.Client, other: httpx2.Client) -> None:
    """What one replica puts in force, the other follows."""
    epoch = json_of(client, "/v1/policies")["epoch"]
    path = f"/v1/policies/entities/{ENTITIES[0]}"
    client.put(path, json={"open_count": 2, "open_window": 3}).raise_for_status()
    until(lambda: json_of(other, "/v1/policies")["epoch"] == epoch + 1, "the other to follow")


def test_replicas_take_over_while_points_are_sent(
    bundle_folder: Path, tmp_path: Path, nodes: Nodes, undisturbed: Undisturbed
) -> None:
    """One is told to, and its old primary to take over again; then that is killed."""
    (one,), two = nodes.replicas, nodes.primaries[0]
    with (
        Service(bundle_folder, tmp_path, redis_url=nodes.url) as service,
        Subscriber(service) as live,
    ):
        replay = Replay(service, seed=52)
        replay.hold_at(3 * replay.requests // 4)
        replay.begin()
        for turn, heir in ((1, one), (2, two)):
            replay.until_sent(turn * replay.requests // 4)
            heir.take_over()
            until((two if heir is one else one).is_in_step, "the old primary to follow")
        replay.until_sent(3 * replay.requests // 4)
        two.kill()
        replay.release()
        until(lambda: one.role() == "master", "the replica to take over")
        until(lambda: service.status("/readyz") == 200, "/readyz to be 200 again")
        run = replay.end()
        live.until(sum(map(len, undisturbed.alerts.values())))
    assert_only_503(run.refusals)
    assert run.refusals, "a killed primary is missed"
    assert_same_verdicts(run, undisturbed.run.verdicts)
    two.start()
    until(two.is_in_step, "the killed one to follow")
    assert alerts_on(nodes, shards=SHARDS) == undisturbed.alerts
    assert (live.connections, live.gaps) == (1, [])
    assert by_entity(live.alerts) == undisturbed.alerts


def test_what_a_replica_had_not_copied_is_missed_and_scored_again(
    bundle_folder: Path, tmp_path: Path, nodes: Nodes, undisturbed: Undisturbed
) -> None:
    """Acknowledged, but on the primary's disk only, which does not come back."""
    (replica,), primary = nodes.replicas, nodes.primaries[0]
    requests, run = requests_of(interleaved(SERIES), seed=54, largest=20), Run()
    kept, lost = requests[:20], requests[20:30]
    with (
        Service(bundle_folder, tmp_path, redis_url=nodes.url) as service,
        client_of(service) as client,
    ):
        for request in kept:
            post_until_acknowledged(client, request, run)
        replica.freeze()
        primary.client.client_kill_filter(_type="replica")
        for request in lost:
            post_until_acknowledged(client, request, run)
        primary.kill()
        replica.thaw()
        until(lambda: replica.role() == "master", "the replica to take over")
        until(lambda: service.status("/readyz") == 200, "/readyz to be 200 again")
        with closing(Store(nodes.url, StoreOptions(shards=SHARDS))) as store:
            found = [one.seq for one in store.load(ENTITIES) if one is not None]
        assert found == [points_of(kept + lost, ENTITIES[0]), points_of(kept, ENTITIES[1])]
        for request in [*lost, *requests[30:]]:
            post_until_acknowledged(client, request, run)
        assert lost_points(service) == points_of(lost, ENTITIES[1])
    assert_only_503(run.refusals)
    assert run.repeated >= points_of(lost, ENTITIES[0])
    assert_same_verdicts(run, undisturbed.run.verdicts)
    alerts, gaps = without_gaps(alerts_on(nodes, shards=SHARDS))
    assert (alerts, gaps) == (undisturbed.alerts, {ENTITIES[1]})


def points_of(requests: list[list[Point]], entity: str) -> int:
    return sum(point.entity == entity for request in requests for point in request)


def test_slots_move_while_points_are_sent(
    bundle_folder: Path, tmp_path: Path, nodes: Nodes, undisturbed: Undisturbed
) -> None:
    with (
        Service(bundle_folder, tmp_path, redis_url=nodes.url) as service,
        Subscriber(service) as live,
    ):
        replay = Replay(service, seed=53)
        replay.begin()
        for turn in (1, 2, 3):
            replay.until_sent(turn * replay.requests // 4)
            for key in (FIRST, LAST, b"gw:{configuration}:epoch", b"gw:alert_log"):
                nodes.move(key, _other(nodes, nodes.serving(key)))
        run = replay.end()
        live.until(sum(map(len, undisturbed.alerts.values())))
    assert_only_503(run.refusals)
    assert_same_verdicts(run, undisturbed.run.verdicts)
    assert alerts_on(nodes, shards=SHARDS) == undisturbed.alerts
    assert by_entity(live.alerts) == undisturbed.alerts


def _other(nodes: Nodes, than: Node) -> Node:
    """Neither it nor its replica."""
    others = nodes.primaries[1:]
    return others[(others.index(than) + 1) % len(others)] if than in others else others[0]


def commit(seq: int, *, after: bytes = b"", entity: str) -> Commit:
    """It waits for more: the key of its deadline exists, as those of points do."""
    new, later_ms = os.urandom(16), 2**50
    return Commit(entity, after, new, seq, b"row.", 1, LAYOUT, b"snapshot", due_ms=later_ms)


def paged(store: Store) -> list[str]:
    """Every name, over all pages."""
    page = store.entities(None, 7)
    names = page.entities
    while page.next is not None:
        page = store.entities(page.next, 7)
        names += page.entities
    return sorted(names)


def test_a_commit_follows_a_slot_that_is_just_moving(nodes: Nodes) -> None:
    names = [f"entity-{number}" for number in range(40)]
    moving = [name for name in names if shard_of(name, SHARDS) == 0]
    key = entity_index_key(0)
    with closing(Store(nodes.url, StoreOptions(shards=SHARDS))) as store:
        store.check()
        first = [commit(1, entity=name) for name in names]
        assert store.commit(first) == [Outcome.OK] * len(names)
        source = nodes.serving(key)
        target = _other(nodes, source)
        nodes.begin_move(key, target)
        assert source.cluster("COUNTKEYSINSLOT", source.cluster("KEYSLOT", key)) == 0
        second = [commit(2, after=one.new_token, entity=one.entity) for one in first]
        assert store.commit(second) == [Outcome.OK] * len(names)
        assert [one and one.seq for one in store.load(moving)] == [2] * len(moving)
        nodes.end_move(key, target)
        assert store.commit(second) == [Outcome.OK] * len(names), "a repeat, at the new place"
        assert store.entity_count() == len(names)
        assert paged(store) == sorted(names)
        store.delete(names)
        assert (store.load(names), store.entity_count()) == ([None] * len(names), 0)
    with nodes.client() as client:
        assert client.exists(*entity_keys(moving[0], SHARDS)) == 0


def test_every_primary_is_checked(nodes: Nodes) -> None:
    nodes.primaries[2].client.config_set("appendfsync", "everysec")
    complaint = pytest.raises(StoreMisconfigured, match="appendfsync always, came everysec")
    with closing(Store(nodes.url, StoreOptions(shards=SHARDS))) as store, complaint:
        store.check()


def test_who_was_answered_is_not_asked_again_while_others_are_tried(nodes: Nodes) -> None:
    away = nodes.primaries[1]
    lost = {n for n in range(SHARDS) if nodes.serving(entity_index_key(n)) is away}
    asked: list[int] = []

    def count(redis: Redis, shards: Sequence[int]) -> list[int]:
        found = entity_count(redis, shards)
        asked.extend(shards)
        return found

    with closing(Store(nodes.url, StoreOptions(shards=SHARDS))) as store:
        store.check()
        away.kill()
        with pytest.raises(StoreUnavailable):
            store.shards.ask_all(count)
    assert sorted(asked) == sorted(set(range(SHARDS)) - lost)
