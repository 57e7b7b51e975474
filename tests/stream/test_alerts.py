"""The alert log: cursors, resuming, gaps, slow subscribers, Redis away."""

import asyncio
import base64
import os
import signal
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from redis import Redis
from redis.typing import EncodableT
from structlog.testing import capture_logs

from service.errors import BadCursor, Overloaded, StoreUnavailable
from service.stream.alerts import AlertFeed
from service.stream.commit import Commit, Layout, Outcome
from service.stream.cursor import Position, decode_cursor, encode_cursor
from service.stream.embedded import EmbeddedValkey
from service.stream.keys import alert_count_key, alert_stream_key, shard_of
from service.stream.store import Store, StoreOptions
from service.stream.subscription import Event, SubscriberTooSlow, Subscription

SHARDS = 3
OPTIONS = StoreOptions(shards=SHARDS, durability="everysec", alerts_kept=100_000)
ENTITIES = ("pump", "fan", "belt", "valve")
LOG = b"8 bytes!"


class Plant:
    """Writes alerts as the service does, and remembers them in order."""

    def __init__(self, url: str) -> None:
        self.store = Store(url, OPTIONS)
        self.tokens: dict[str, tuple[bytes, int]] = {}
        self.written: list[tuple[str, bytes]] = []

    def close(self) -> None:
        self.store.close()

    def alert(self, entity: str, count: int = 1) -> None:
        token, seq = self.tokens.get(entity, (b"", 0))
        first = len(self.written)
        alerts = tuple(b'{"n":%d}' % n for n in range(first, first + count))
        new = os.urandom(16)
        layout = Layout(1, 8, "d")
        commit = Commit(entity, token, new, seq + 1, b"r", 1, layout, b"snapshot", alerts)
        assert self.store.commit([commit]) == [Outcome.OK]
        self.tokens[entity] = (new, seq + 1)
        self.written += [(entity, alert) for alert in alerts]

    def of(self, entity: str) -> list[bytes]:
        return [alert for name, alert in self.written if name == entity]

    def by_shard(self, alerts: list[bytes]) -> list[list[bytes]]:
        """What is promised: each alert once, in order within its shard."""
        shard = {alert: shard_of(name, SHARDS) for name, alert in self.written}
        return [[alert for alert in alerts if shard[alert] == s] for s in range(SHARDS)]

    def is_all(self, alerts: list[bytes]) -> bool:
        return self.by_shard(alerts) == self.by_shard([alert for _, alert in self.written])


@pytest.fixture
def plant(redis_url: str) -> Iterator[Plant]:
    with closing(Plant(redis_url)) as opened:
        yield opened


async def take(subscription: Subscription, count: int) -> list[Event]:
    async with asyncio.timeout(10):
        return [await anext(subscription) for _ in range(count)]


def alerts_of(events: list[Event]) -> list[bytes]:
    assert all(event.alert is not None for event in events), events
    return [event.alert for event in events if event.alert is not None]


async def is_quiet(subscription: Subscription) -> bool:
    try:
        async with asyncio.timeout(0.05):
            await anext(subscription)
    except TimeoutError:
        return True
    return False


async def test_new_alerts_arrive_from_now_on(redis_url: str, plant: Plant) -> None:
    plant.alert("pump")
    async with AlertFeed(redis_url, SHARDS) as feed, feed.subscribe() as subscription:
        for entity in ENTITIES:
            plant.alert(entity)
        events = await take(subscription, len(ENTITIES))
        assert sorted(alerts_of(events)) == [alert for _, alert in plant.written[1:]]
        assert await is_quiet(subscription)


@pytest.mark.parametrize("word", ["0", "earliest"])
async def test_earliest_is_everything_kept_and_then_the_new(
    redis_url: str, plant: Plant, word: str
) -> None:
    for entity in ENTITIES:
        plant.alert(entity, 3)
    async with AlertFeed(redis_url, SHARDS) as feed, feed.subscribe(word) as subscription:
        plant.alert("pump", 2)
        events = await take(subscription, len(plant.written))
        assert plant.is_all(alerts_of(events))
        assert await is_quiet(subscription)


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    steps=st.lists(st.tuples(st.sampled_from(ENTITIES), st.integers(1, 3)), max_size=8),
    late=st.lists(st.sampled_from(ENTITIES), max_size=4),
)
def test_every_cursor_resumes_with_exactly_the_rest(
    redis_url: str, steps: list[tuple[str, int]], late: list[str]
) -> None:
    with Redis.from_url(redis_url) as client:
        client.flushdb()
    asyncio.run(resume_everywhere(redis_url, steps, late=late))


async def resume_everywhere(url: str, steps: list[tuple[str, int]], *, late: list[str]) -> None:
    with closing(Plant(url)) as plant:
        for entity, count in steps:
            plant.alert(entity, count)
        async with AlertFeed(url, SHARDS) as feed:
            async with feed.subscribe("earliest") as subscription:
                for entity in late:
                    plant.alert(entity)
                events = await take(subscription, len(plant.written))
            for seen in range(len(events) + 1):
                after = events[seen - 1].cursor if seen else "earliest"
                async with feed.subscribe(after) as subscription:
                    rest = await take(subscription, len(events) - seen)
                assert plant.is_all(alerts_of(events[:seen] + rest))


async def test_a_filter_lets_one_entity_through_and_its_cursor_skips_the_others(
    redis_url: str, plant: Plant
) -> None:
    async with AlertFeed(redis_url, SHARDS) as feed:
        for entity in ENTITIES * 2:
            plant.alert(entity)
        async with feed.subscribe("earliest", entity="fan") as subscription:
            plant.alert("pump")
            plant.alert("fan")
            events = await take(subscription, 3)
            assert alerts_of(events) == plant.of("fan")
        async with feed.subscribe(events[1].cursor, entity="fan") as subscription:
            assert alerts_of(await take(subscription, 1)) == plant.of("fan")[2:]


async def test_history_of_many_pages_is_complete(redis_url: str, plant: Plant) -> None:
    for _ in range(6):
        plant.alert("pump", 200)
    async with AlertFeed(redis_url, SHARDS) as feed, feed.subscribe("0") as subscription:
        assert alerts_of(await take(subscription, 1_200)) == plant.of("pump")


async def test_a_reader_that_gives_up_waiting_misses_nothing(redis_url: str, plant: Plant) -> None:
    """The web floor waits with a timeout between heartbeats."""
    plant.alert("pump", 5)
    async with AlertFeed(redis_url, SHARDS) as feed, feed.subscribe("0") as subscription:
        taken: list[Event] = []
        while len(taken) < 8:
            if len(taken) == 5 and len(plant.written) == 5:
                plant.alert("pump", 3)
            try:
                async with asyncio.timeout(0.000_01 if len(taken) % 2 else 1.0):
                    taken.append(await anext(subscription))
            except TimeoutError:
                taken.append(await anext(subscription))
        assert alerts_of(taken) == plant.of("pump")


async def test_a_slow_subscriber_is_closed_and_resumes_while_others_go_on(
    redis_url: str, plant: Plant
) -> None:
    async with AlertFeed(redis_url, SHARDS, queue_size=10) as feed:
        async with feed.subscribe() as slow, feed.subscribe() as quick:
            plant.alert("pump")
            first = (await take(slow, 1))[0]
            taken = await take(quick, 1)
            for _ in range(15):
                plant.alert("pump")
                taken += await take(quick, 1)
            assert alerts_of(taken) == plant.of("pump")
            assert slow.too_slow.is_set()
            assert not quick.too_slow.is_set()
            with pytest.raises(SubscriberTooSlow):
                await take(slow, 1)
        async with feed.subscribe(first.cursor) as again:
            assert alerts_of(await take(again, 15)) == plant.of("pump")[1:]


async def test_a_burst_does_not_close_a_subscriber_that_listens(
    redis_url: str, plant: Plant
) -> None:
    async with AlertFeed(redis_url, SHARDS, queue_size=2) as feed, feed.subscribe() as quick:
        taking = asyncio.create_task(take(quick, 300))
        await asyncio.sleep(0)
        plant.alert("pump", 300)
        assert alerts_of(await taking) == plant.of("pump")


async def test_the_number_of_subscribers_is_bounded(redis_url: str) -> None:
    async with AlertFeed(redis_url, SHARDS, max_subscribers=1) as feed:
        async with feed.subscribe():
            with pytest.raises(Overloaded, match="1 subscribers"):
                await feed.subscribe().__aenter__()
        async with feed.subscribe():
            pass


async def test_trimming_leaves_a_gap_of_exactly_what_is_missing(
    redis_url: str, plant: Plant
) -> None:
    plant.alert("pump", 10)
    async with AlertFeed(redis_url, SHARDS) as feed:
        async with feed.subscribe("0") as subscription:
            events = await take(subscription, 10)
        with Redis.from_url(redis_url) as client:
            client.xtrim(alert_stream_key(shard_of("pump", SHARDS)), maxlen=3, approximate=False)
        async with feed.subscribe(events[1].cursor) as subscription:
            gap, *rest = await take(subscription, 4)
        assert (gap.alert, gap.missed) == (None, 5)
        assert alerts_of(rest) == plant.of("pump")[7:]
        async with feed.subscribe(gap.cursor) as subscription:
            assert alerts_of(await take(subscription, 3)) == plant.of("pump")[7:]
        async with feed.subscribe("earliest") as subscription:
            assert alerts_of(await take(subscription, 3)) == plant.of("pump")[7:]


async def test_a_stream_that_is_gone_is_a_gap_up_to_its_count(redis_url: str, plant: Plant) -> None:
    plant.alert("pump", 4)
    async with AlertFeed(redis_url, SHARDS) as feed:
        async with feed.subscribe("0") as subscription:
            events = await take(subscription, 4)
        with Redis.from_url(redis_url) as client:
            client.delete(alert_stream_key(shard_of("pump", SHARDS)))
        async with feed.subscribe(events[0].cursor) as subscription:
            plant.alert("pump")
            gap, alert = await take(subscription, 2)
            assert (gap.alert, gap.missed) == (None, 3)
            assert alert.alert == plant.of("pump")[4]
        async with feed.subscribe("earliest", entity="nobody") as subscription:
            assert await is_quiet(subscription)


async def test_a_log_begun_anew_is_a_gap_and_then_the_new_log(redis_url: str, plant: Plant) -> None:
    async with AlertFeed(redis_url, SHARDS) as feed, feed.subscribe() as subscription:
        plant.alert("pump", 5)
        old = await take(subscription, 5)
        with Redis.from_url(redis_url) as client:
            client.flushdb()
        with closing(Plant(redis_url)) as second:
            second.alert("pump", 2)
            gap, *rest = await take(subscription, 3)
            assert (gap.alert, gap.missed) == (None, 0)
            assert alerts_of(rest) == second.of("pump")
            async with feed.subscribe(old[4].cursor) as resumed:
                gap, *rest = await take(resumed, 3)
                assert (gap.alert, gap.missed) == (None, 0)
                assert alerts_of(rest) == second.of("pump")


async def test_a_log_that_lost_its_end_is_a_gap_and_goes_on(redis_url: str, plant: Plant) -> None:
    """What `everysec` may do to the last second before a crash."""
    plant.alert("pump", 2)
    async with AlertFeed(redis_url, SHARDS) as feed:
        position = decode_cursor((await first_event(feed)).cursor, shards=SHARDS)
        shard = shard_of("pump", SHARDS)
        async with feed.subscribe(encode_cursor(position.moved(shard, 7))) as subscription:
            plant.alert("pump")
            gap, alert = await take(subscription, 2)
        assert (gap.alert, gap.missed) == (None, 0)
        assert alert.alert == plant.of("pump")[2]


async def first_event(feed: AlertFeed) -> Event:
    async with feed.subscribe("earliest") as subscription:
        return (await take(subscription, 1))[0]


FOREIGN = {
    "no fields of ours": ("*", {"hello": "world"}),
    "no alert": ("*", {"entity": "pump"}),
    "a name that is no text": ("*", {"entity": b"\xff", "alert": b"{}"}),
    "the next number": ("3-0", {"hello": "world"}),
    "a number twice": ("2-1", {"hello": "world"}),  # the reader is beyond it before it comes
}


@pytest.mark.parametrize("foreign", FOREIGN.values(), ids=FOREIGN.keys())
async def test_an_entry_that_is_not_ours_is_skipped(
    redis_url: str, plant: Plant, foreign: tuple[str, dict[EncodableT, EncodableT]]
) -> None:
    stream_id, fields = foreign
    async with AlertFeed(redis_url, SHARDS) as feed, feed.subscribe() as live:
        plant.alert("pump", 2)
        events = await take(live, 2)
        with Redis.from_url(redis_url) as client, capture_logs() as logs:
            client.xadd(alert_stream_key(shard_of("pump", SHARDS)), fields, id=stream_id)
            assert await is_quiet(live)
            plant.alert("pump", 2)
            events += await take(live, 2)
        assert [entry["log_level"] for entry in logs] == ["warning"] * (stream_id != "2-1")
        assert alerts_of(events) == plant.of("pump")
        for seen in range(4):
            after = events[seen - 1].cursor if seen else "earliest"
            async with feed.subscribe(after) as subscription:
                assert alerts_of(await take(subscription, 4 - seen)) == plant.of("pump")[seen:]
                assert await is_quiet(subscription)


async def test_a_reader_that_failed_says_so_and_reads_on(redis_url: str, plant: Plant) -> None:
    shard = shard_of("pump", SHARDS)
    async with AlertFeed(redis_url, SHARDS) as feed, feed.subscribe() as live:
        plant.alert("pump")
        events = await take(live, 1)
        assert feed.is_reading
        with Redis.from_url(redis_url) as client, capture_logs() as logs:
            client.set(alert_count_key(shard), b"garbage")
            plant.alert("fan" if shard_of("fan", SHARDS) != shard else "belt")  # wakes the reader
            await until(lambda: not feed.is_reading)
            client.set(alert_count_key(shard), 1)
            await until(lambda: feed.is_reading)
        assert {entry["log_level"] for entry in logs} == {"error"}
        assert all(entry["exc_info"] for entry in logs)
        plant.alert("pump")
        events += await take(live, 2)
    assert plant.is_all(alerts_of(events))


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not is_so():  # noqa: ASYNC110  nobody tells us when
            await asyncio.sleep(0.001)


async def test_a_cursor_of_another_process_that_is_ahead_repeats_nothing(
    redis_url: str, plant: Plant
) -> None:
    async with AlertFeed(redis_url, SHARDS) as ahead, AlertFeed(redis_url, SHARDS) as behind:
        plant.alert("pump", 3)
        async with ahead.subscribe("0") as subscription:
            cursor = (await take(subscription, 3))[2].cursor
        async with behind.subscribe(cursor) as subscription:
            plant.alert("pump")
            assert alerts_of(await take(subscription, 1)) == plant.of("pump")[3:]


@given(
    log=st.binary(min_size=8, max_size=8),
    numbers=st.lists(st.integers(0, 2**53 - 1), min_size=1, max_size=64),
)
def test_a_cursor_says_what_was_put_in(log: bytes, numbers: list[int]) -> None:
    position = Position(log, tuple(numbers))
    cursor = encode_cursor(position)
    assert cursor.isascii()
    assert not set(cursor) & set("+/= &?#%")
    assert decode_cursor(cursor, shards=len(numbers)) == position


def forged(payload: object) -> str:
    raw = msgspec.msgpack.encode(payload)
    sealed = zlib.crc32(raw).to_bytes(4) + raw
    return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()


GOOD = encode_cursor(Position(LOG, (1, 2, 3)))
BAD_CURSORS = {
    "empty": "",
    "number": "17",
    "stream id": "1-0",
    "words": "latest",
    "another alphabet": "ü" * 40,
    "lone surrogate": "\ud800",
    "damaged": GOOD[:-1] + ("A" if GOOD[-1] != "A" else "B"),
    "shortened": GOOD[:-4],
    "padded": GOOD + "==",
    "with a blank": GOOD[:8] + " " + GOOD[8:],
    "too long": "A" * 1_000_000,
    "too few shards": encode_cursor(Position(LOG, (1, 2))),
    "too many shards": encode_cursor(Position(LOG, (1, 2, 3, 4))),
    "negative": forged((1, LOG, (1, -2, 3))),
    "huge": forged((1, LOG, (1, 2**63, 3))),
    "not a number": forged((1, LOG, (1, 2.5, 3))),
    "another version": forged((2, LOG, (1, 2, 3))),
    "a short log name": forged((1, b"log", (1, 2, 3))),
    "another form": forged({"a": 1}),
}


@pytest.mark.parametrize("cursor", BAD_CURSORS.values(), ids=BAD_CURSORS.keys())
def test_a_cursor_that_we_never_gave_is_refused(cursor: str) -> None:
    with pytest.raises(BadCursor):
        decode_cursor(cursor, shards=3)


@settings(max_examples=50)
@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda raw: raw.hex()))
def test_no_text_breaks_the_cursor_reader(text: str) -> None:
    with pytest.raises(BadCursor):
        decode_cursor(text, shards=3)


async def test_subscribing_with_a_bad_cursor_is_refused(redis_url: str) -> None:
    async with AlertFeed(redis_url, SHARDS) as feed:
        with pytest.raises(BadCursor):
            await feed.subscribe("nonsense").__aenter__()


@pytest.mark.parametrize("turns", range(12))
async def test_a_feed_ends_whatever_it_is_waiting_for(redis_url: str, turns: int) -> None:
    async with asyncio.timeout(5), AlertFeed(redis_url, SHARDS):
        for _ in range(turns):
            await asyncio.sleep(0)


async def test_a_feed_does_not_start_without_redis(tmp_path: Path) -> None:
    feed = AlertFeed(f"unix://{tmp_path}/nobody", SHARDS)
    with pytest.raises(StoreUnavailable):
        await feed.__aenter__()


@pytest.mark.slow
async def test_a_restart_of_redis_loses_no_alert_and_no_subscriber(
    server_binary: Path, tmp_path: Path
) -> None:
    server = EmbeddedValkey(tmp_path, binary=server_binary)
    server.__enter__()
    with closing(Plant(server.url)) as plant:
        async with AlertFeed(server.url, SHARDS) as feed, feed.subscribe() as live:
            plant.alert("pump", 3)
            events = await take(live, 3)
            assert server.pid is not None
            os.kill(server.pid, signal.SIGKILL)
            async with feed.subscribe(events[0].cursor) as resumed:
                reading = asyncio.create_task(take(resumed, 4))
                await asyncio.sleep(0.3)
                assert not reading.done()
                server.stop()
                server.__enter__()
                plant.alert("pump", 2)
                assert alerts_of(await reading) == plant.of("pump")[1:]
            events += await take(live, 2)
            assert alerts_of(events) == plant.of("pump")
    server.stop()


async def test_the_feed_lets_go_of_subscribers_that_left(redis_url: str) -> None:
    async with AlertFeed(redis_url, SHARDS, max_subscribers=1) as feed:
        for _ in range(3):
            with pytest.raises(RuntimeError, match="left"):
                async with feed.subscribe():
                    raise RuntimeError("left")
