import dataclasses
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from redis import Redis

from service.errors import BadCursor, StoreUnavailable
from service.stream.commit import Layout
from service.stream.fleet.answer import FleetAnswer, fleet_answer
from service.stream.fleet.board import Fleet
from service.stream.fleet.fill import FleetFill
from service.stream.fleet.viewer import FleetViewer
from service.stream.hearing import Listeners
from service.stream.ingest import Ingest, Limits
from service.stream.keys import deadline_key, entity_keys, shard_of
from service.stream.lane import Lane
from service.stream.messages import Point
from service.stream.models import Models
from service.stream.store import Store, StoreOptions
from tests.builders import NEED, PERIOD_MS, START_MS, series_like
from tests.stream.test_ingest import faulty, points_of, send

SHARDS = 2
SILENT = Limits(silence_periods=10.0)


@pytest.fixture
def store(redis_url: str) -> Iterator[Store]:
    options = StoreOptions(durability="everysec", shards=SHARDS)
    with closing(Store(redis_url, options)) as store:
        store.check()
        yield store


@pytest.fixture
def models(bundle_folder: Path) -> Models:
    return Models(bundle_folder, default="tiny")


@dataclasses.dataclass
class Replica:
    """A process of the service, as far as the fleet goes."""

    fleet: Fleet
    ingest: Ingest
    fill: FleetFill


@pytest.fixture
def replicas(store: Store, models: Models) -> Iterator[list[Replica]]:
    """Three that are not started: the last one stands for a later start."""
    with ExitStack() as stack:
        found = []
        for _ in range(3):
            fleet = Fleet(20)
            own = [stack.enter_context(closing(store.twin())) for _ in range(2)]
            ingest = Ingest(own[0], models, limits=SILENT, listeners=Listeners(fleet=fleet))
            found.append(Replica(fleet, ingest, FleetFill(fleet, own[1], ingest.wrote)))
        yield found


def shown(fleet: Fleet, *, since: str | None = None) -> FleetAnswer:
    return msgspec.json.decode(fleet_answer(fleet, "hour", since), type=FleetAnswer)


def content(fleet: Fleet) -> dict[str, dict[str, Any]]:
    """What is said of every entity, but when it was seen."""
    columns = msgspec.to_builtins(shown(fleet).entities)
    taken = fleet.taken("day")
    columns["cells"] = taken.cells.tolist()
    return {
        name: {key: column[at] for key, column in columns.items() if key != "seen_ms"}
        for at, name in enumerate(taken.names)
    }


def calm(entity: str, *, minute: int = 0) -> Point:
    return Point(entity, START_MS + minute * PERIOD_MS, [0.0, 0.1, 0.2, 0.3])


def cells_of(fleet: Fleet) -> dict[str, list[int]]:
    taken = fleet.taken("hour")
    return dict(zip(taken.names, taken.cells.tolist(), strict=True))


async def rested(ingest: Ingest) -> None:
    """What follows the answers is done before the next tick is."""
    await ingest.tick()


def wait_over(redis_url: str) -> None:
    """Make every deadline pass."""
    with Redis.from_url(redis_url) as client:
        for shard in range(SHARDS):
            waiting: Any = client.zrange(deadline_key(shard), 0, -1)
            if waiting:
                client.zadd(deadline_key(shard), dict.fromkeys(waiting, 1))


async def test_the_board_hears_every_point_and_is_filled_again_after_a_restart(
    replicas: list[Replica],
) -> None:
    first, later = replicas[0], replicas[2]
    points = [*points_of(faulty("alpha"), end=97), *points_of(series_like("beta", NEED - 1))]
    async with first.ingest as ingest:
        verdicts = await send(ingest, points[:97])
        await ingest.submit(points[97:], is_backfill=True)
        await rested(ingest)
    alpha = content(first.fleet)["alpha"]
    newest = verdicts[-1]
    assert (alpha["status"], alpha["is_anomaly"]) == (newest.status, newest.is_anomaly)
    assert alpha["score"] == pytest.approx(newest.score, abs=1e-4)
    assert alpha["incident"] == newest.incident is not None
    assert (alpha["have"], alpha["need"], alpha["timestamp_ms"]) == (97, NEED, newest.timestamp_ms)
    anomalous = [verdict for verdict in verdicts if verdict.is_anomaly][-1]
    assert [name for name, _ in alpha["causes"]] == [
        cause.dimension for cause in anomalous.contributions[:3]
    ]
    assert content(first.fleet)["beta"]["status"] == "warming"
    assert shown(later.fleet).entities.entity == []
    later.fill.round()
    filled, heard = content(later.fleet), content(first.fleet)
    for name, one in heard.items():
        day, day_filled = one.pop("cells"), filled[name].pop("cells")
        assert filled[name] == one
        assert day_filled[-2:] == day[-2:]  # 60 rows, one a minute, are an hour of the day
    assert cells_of(later.fleet) == cells_of(first.fleet)
    before = later.fleet.version
    later.fill.round()
    assert later.fleet.version == before  # nobody was gone, and nothing was read
    assert later.fleet.taken("hour", before).names == []


async def test_points_of_another_replica_appear_and_so_does_what_it_deletes(
    replicas: list[Replica],
) -> None:
    one, other = replicas[:2]
    points = points_of(series_like("alpha", 90))
    async with one.ingest, other.ingest:
        await send(one.ingest, points[:20])
        await other.ingest.submit(points_of(series_like("beta", 5)))
        await rested(one.ingest)
        await rested(other.ingest)
        one.fill.round()
        start = shown(one.fleet)
        assert sorted(start.entities.entity) == ["alpha", "beta"]
        for end in (21, 25, 90):
            await send(other.ingest, points[end - 1 : end] if end == 21 else points[:end])
            await rested(other.ingest)
            one.fill.round()
            (now,) = shown(one.fleet, since=start.next).entities.timestamp_ms
            assert now == points[end - 1].timestamp_ms
        other.fill.round()
        assert cells_of(one.fleet) == cells_of(other.fleet)
        await other.ingest.forget("alpha")
        assert other.fleet.names() == {"beta"}
        one.fill.round()
        gone = shown(one.fleet, since=start.next)
        assert (gone.removed, gone.count) == (["alpha"], 1)
        await other.ingest.submit(points[:3])
        await rested(other.ingest)
        one.fill.round()
        assert content(one.fleet)["alpha"]["have"] == 3


async def test_replicas_that_take_turns_at_every_entity_have_all_cells_of_it(
    replicas: list[Replica],
) -> None:
    points = points_of(faulty("alpha", 110), start=30)
    async with replicas[0].ingest, replicas[1].ingest:
        for number, point in enumerate(points):
            await replicas[number % 2].ingest.submit([point])
            if number % 7 == 0:
                replicas[number % 3 % 2].fill.round()
        for replica in replicas[:2]:
            await rested(replica.ingest)
        for replica in replicas:
            replica.fill.round()
    one, other, later = (cells_of(replica.fleet) for replica in replicas)
    assert one == other == later
    assert one["alpha"].count(0) == 0


async def test_forgetting_an_entity_takes_it_off_the_board(replicas: list[Replica]) -> None:
    one = replicas[0]
    async with one.ingest as ingest:
        await ingest.submit(points_of(series_like("alpha", 5)))
        await rested(ingest)
        cursor = shown(one.fleet).next
        await ingest.forget("alpha")
        gone = shown(one.fleet, since=cursor)
    assert (gone.is_whole, gone.removed, gone.count) == (False, ["alpha"], 0)


async def test_what_no_point_caused_is_known_after_a_restart(
    replicas: list[Replica], redis_url: str
) -> None:
    one, later = replicas[0], replicas[2]
    points = points_of(faulty("alpha"), end=95)
    async with one.ingest as ingest:
        opened = (await send(ingest, points))[-1].incident
        await ingest.submit(points_of(series_like("beta", 9)))
        assert opened is not None
        wait_over(redis_url)
        assert await ingest.tick() == 2
        later.fill.round()
        silent = content(later.fleet)
        assert silent["alpha"]["incident"] == f"alpha@{points[-1].timestamp_ms}~silence"
        assert silent["beta"]["incident"] == f"beta@{START_MS + 8 * PERIOD_MS}~silence"


async def test_an_incident_that_a_person_ended_is_over_after_a_restart(
    replicas: list[Replica],
) -> None:
    one, other, later = replicas
    async with one.ingest as ingest:
        opened = (await send(ingest, points_of(faulty("alpha"), end=95)))[-1].incident
        assert opened is not None
        other.fill.round()
        assert content(other.fleet)["alpha"]["incident"] == opened
        await ingest.accept("alpha", opened)
        later.fill.round()
    assert content(later.fleet)["alpha"]["incident"] is None


async def test_an_incident_that_ended_while_its_rows_were_read_stays_over(
    replicas: list[Replica],
) -> None:
    one, later = replicas[0], replicas[2]
    async with one.ingest as ingest:
        verdict = (await send(ingest, points_of(faulty("alpha"), end=95)))[-1]
    assert verdict.incident is not None
    told = {"kind": "resolved", "entity": "alpha", "incident": verdict.incident}
    opened_ms = int(verdict.incident.partition("@")[2])
    times = {"opened_ms": opened_ms, "timestamp_ms": verdict.timestamp_ms}
    later.fleet.tell(msgspec.json.encode(told | times))
    later.fill.round()
    assert content(later.fleet)["alpha"]["incident"] is None


async def test_a_full_board_reads_nobody_else(store: Store, replicas: list[Replica]) -> None:
    async with replicas[0].ingest as ingest:
        for number in range(6):
            await ingest.submit(points_of(series_like(f"entity-{number}", 3)))
    fleet = Fleet(4)
    FleetFill(fleet, store, replicas[2].ingest.wrote).round()
    answer = shown(fleet)
    assert (answer.count, answer.left_off) == (4, 2)


async def test_who_is_beyond_the_page_of_names_is_not_taken_for_gone(
    store: Store, models: Models, replicas: list[Replica]
) -> None:
    last = [name for n in range(20) if shard_of(name := f"last-{n}", SHARDS) == SHARDS - 1][:3]
    fleet = Fleet(3)
    with closing(store.twin()) as own:
        ingest = Ingest(own, models, listeners=Listeners(fleet=fleet))
        async with replicas[0].ingest as other:
            await other.submit([calm(f"entity-{n}") for n in range(700)])
        async with ingest:
            await ingest.submit([calm(name) for name in last])
            await rested(ingest)
            FleetFill(fleet, store, ingest.wrote).round()
    assert fleet.names() == set(last)
    assert shown(fleet).left_off == 700


async def test_entities_of_a_bundle_that_is_gone_and_damaged_ones_are_left_out(
    store: Store, replicas: list[Replica], redis_url: str
) -> None:
    async with replicas[0].ingest as ingest:
        for name in ("alpha", "beta", "gamma"):
            await ingest.submit(points_of(series_like(name, 5)))
    with Redis.from_url(redis_url) as client:
        client.delete(entity_keys("beta", SHARDS)[0])
        client.setrange(entity_keys("gamma", SHARDS)[0], 64, b"\0" * 96)
    fleet = Fleet(9)
    FleetFill(fleet, store, replicas[2].ingest.wrote).round()
    assert fleet.names() == {"alpha"}
    empty = Fleet(9)
    FleetFill(empty, store, lambda _layout: None).round()
    assert empty.names() == set()


async def test_what_could_not_be_read_is_read_in_the_next_round(
    store: Store, replicas: list[Replica]
) -> None:
    one, later = replicas[0], replicas[2]
    points, is_away = points_of(series_like("alpha", 40)), [True]

    def lane_of(layout: Layout) -> Lane | None:
        if is_away[0]:
            raise StoreUnavailable("gone just now")
        return later.ingest.wrote(layout)

    fleet = Fleet(9)
    fill = FleetFill(fleet, store, lane_of)
    async with one.ingest as ingest:
        for end in (20, 40):
            await ingest.submit(points[end - 20 : end])
            is_away[0] = True
            with pytest.raises(StoreUnavailable):
                fill.round()
            is_away[0] = False
            fill.round()
            assert sum(cell > 0 for cell in cells_of(fleet)["alpha"]) == end


async def test_a_redis_that_is_away_leaves_the_board_as_it_is(replicas: list[Replica]) -> None:
    one = replicas[0]
    async with one.ingest as ingest:
        await ingest.submit(points_of(series_like("alpha", 5)))
        await rested(ingest)
    with closing(Store("redis://127.0.0.1:1/0", StoreOptions(shards=SHARDS))) as nowhere:
        viewer = FleetViewer(one.fleet, FleetFill(one.fleet, nowhere, one.ingest.wrote))
        answer = msgspec.json.decode(await viewer.answer("hour", None), type=FleetAnswer)
        with pytest.raises(BadCursor):
            await viewer.answer("hour", "x")
        await viewer.close()
    assert answer.entities.entity == ["alpha"]


async def test_the_board_is_filled_while_somebody_looks_and_not_too_often(
    store: Store, replicas: list[Replica]
) -> None:
    one, later = replicas[0], replicas[2]
    async with one.ingest as ingest:
        await ingest.submit(points_of(series_like("alpha", 5)))
        viewer = FleetViewer(later.fleet, FleetFill(later.fleet, store, later.ingest.wrote))
        first = msgspec.json.decode(await viewer.answer("hour", None), type=FleetAnswer)
        assert first.entities.entity == ["alpha"]
        await ingest.submit(points_of(series_like("beta", 5)))
        again = msgspec.json.decode(await viewer.answer("6h", first.next), type=FleetAnswer)
        assert (again.is_whole, again.entities.entity) == (True, ["alpha"])  # of another span
        await viewer.close()
        eager = FleetViewer(later.fleet, later.fill, every_seconds=0.0)
        for _ in range(2):
            answer = msgspec.json.decode(await eager.answer("hour", None), type=FleetAnswer)
            assert answer.entities.entity == ["alpha", "beta"]
        await eager.close()


@pytest.mark.slow
async def test_ten_thousand_entities_are_answered(store: Store, models: Models) -> None:
    fleet = Fleet(10_000)
    with closing(store.twin()) as own:
        ingest = Ingest(own, models, listeners=Listeners(fleet=fleet))
        async with ingest:
            for start in range(0, 10_000, 1_000):
                names = [f"entity-{number}" for number in range(start, start + 1_000)]
                await ingest.submit([calm(name) for name in names])
            await rested(ingest)
            whole = shown(fleet)
            await ingest.submit([calm("entity-7", minute=1)])
            await rested(ingest)
            changed = shown(fleet, since=whole.next)
            filled = Fleet(10_000)
            FleetFill(filled, store, ingest.wrote).round()
    assert (whole.count, len(whole.entities.entity)) == (10_000, 10_000)
    assert changed.entities.entity == ["entity-7"]
    assert content(filled) == content(fleet)
