"""The atomic commit, loading, and what happens when Redis does not answer."""

import dataclasses
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given, strategies as st
from msgspec.structs import replace
from redis import Redis

from service.errors import StoreMisconfigured, StoreUnavailable
from service.stream.commit import POINTS_PER_SNAPSHOT, Commit, Layout, Outcome, snapshot_due
from service.stream.embedded import EmbeddedValkey
from service.stream.keys import (
    EPOCH_KEY,
    alert_count_key,
    alert_stream_key,
    entity_keys,
    shard_of,
)
from service.stream.store import Store, StoreOptions
from tests.headers import HEADER_BYTES, read_header, write_header

LAYOUT = Layout(row_bytes=4, capacity=8, digest="a1")
OPTIONS = StoreOptions(shards=4, durability="everysec")
SHARD = shard_of("pump", OPTIONS.shards)


def rows(first: int, last: int) -> bytes:
    return b"".join(b"%04d" % seq for seq in range(first, last + 1))


def commit(seq: int, count: int = 1, *, after: bytes = b"", entity: str = "pump") -> Commit:
    return Commit(
        entity=entity,
        expected_token=after,
        new_token=os.urandom(16),
        seq=seq,
        rows=rows(seq - count + 1, seq),
        row_count=count,
        layout=LAYOUT,
        snapshot=b"snapshot %d" % seq if not after else None,
    )


@pytest.fixture
def store(redis_url: str) -> Iterator[Store]:
    with closing(Store(redis_url, OPTIONS)) as opened:
        yield opened


@pytest.fixture
def client(redis_url: str) -> Iterator[Redis]:
    with Redis.from_url(redis_url) as opened:
        yield opened


def alerts_of(client: Redis, shard: int = SHARD) -> list[tuple[bytes, bytes]]:
    entries: Any = client.xrange(alert_stream_key(shard))
    return [(stream_id, fields[b"alert"]) for stream_id, fields in entries]


def test_first_commit_is_loaded_as_it_was_written(store: Store) -> None:
    first = commit(2, 2)
    assert store.commit([first]) == [Outcome.OK]
    assert store.load(["unknown", "pump"])[0] is None
    found = store.load(["pump"])[0]
    assert found is not None
    assert (found.token, found.seq, found.epoch) == (first.new_token, 2, 1)
    assert (found.layout, found.snapshot_seq, found.snapshot) == (LAYOUT, 2, b"snapshot 2")
    assert found.rows == b""
    assert store.recent(["pump"], 5)[0] == (found, rows(1, 2))


def test_rows_since_the_snapshot_come_back_oldest_first_over_the_wrap(store: Store) -> None:
    first = commit(6, 6)
    second = commit(11, 5, after=first.new_token)
    store.commit([first])
    assert store.commit([second]) == [Outcome.OK]
    found = store.recent(["pump"], 100)[0]
    assert found is not None
    assert found[0].rows == rows(7, 11)
    assert found[1] == rows(4, 11)


def test_a_repeat_with_the_same_token_changes_nothing(store: Store, client: Redis) -> None:
    first = replace(commit(1), alerts=(b"opened",))
    assert store.commit([first]) == [Outcome.OK]
    before = store.recent(["pump"], 8)[0]
    assert store.commit([first]) == [Outcome.OK]
    assert store.recent(["pump"], 8)[0] == before
    assert alerts_of(client) == [(b"1-0", b"opened")]


def test_a_stale_entity_does_not_stop_the_others(store: Store, client: Redis) -> None:
    store.commit([commit(1)])
    stale = replace(commit(2, after=b"x" * 16), alerts=(b"never",))
    outcomes = store.commit([stale, commit(1, entity="fan"), commit(1, entity="belt")])
    assert outcomes == [Outcome.STALE, Outcome.OK, Outcome.OK]
    assert [found and found.seq for found in store.load(["pump", "fan", "belt"])] == [1, 1, 1]
    assert alerts_of(client) == []


def test_equal_numbers_after_delete_and_refill_are_still_stale(store: Store) -> None:
    first = commit(1)
    store.commit([first])
    store.delete(["pump"])
    assert store.load(["pump"]) == [None]
    refill = commit(1)
    assert store.commit([refill]) == [Outcome.OK]
    assert store.commit([commit(2, after=first.new_token)]) == [Outcome.STALE]
    assert store.commit([commit(2, after=refill.new_token)]) == [Outcome.OK]


def test_a_deleted_entity_is_stale_for_who_still_knows_it(store: Store) -> None:
    first = commit(1)
    store.commit([first])
    store.delete(["pump"])
    assert store.commit([commit(2, after=first.new_token)]) == [Outcome.STALE]
    assert store.load(["pump"]) == [None]


def test_an_older_epoch_is_outdated_but_a_repeat_is_not(store: Store) -> None:
    store.commit_epoch = 2
    first = commit(1)
    store.commit([first])
    store.commit_epoch = 1
    assert store.commit([commit(2, after=first.new_token)]) == [Outcome.OUTDATED]
    assert store.commit([first]) == [Outcome.OK]
    found = store.load(["pump"])[0]
    assert found is not None
    assert (found.seq, found.epoch) == (1, 2)


def test_epoch_is_one_on_first_start_and_read_afterwards(store: Store, client: Redis) -> None:
    store.check()
    assert store.epoch() == 1
    client.incr(EPOCH_KEY)
    assert store.epoch() == 2
    store.check()
    assert store.epoch() == 2


def test_a_new_layout_rewrites_the_ring_from_the_given_rows(store: Store, client: Redis) -> None:
    first = commit(11, 11)
    store.commit([first])
    wide = Layout(row_bytes=6, capacity=5, digest="b2")
    swap = replace(
        commit(12, after=first.new_token), layout=wide, rows=b"twelve", snapshot=b"swapped"
    )
    assert store.commit([swap]) == [Outcome.OK]
    found = store.recent(["pump"], 8)[0]
    assert found is not None
    assert (found[0].layout, found[0].snapshot, found[0].seq) == (wide, b"swapped", 12)
    assert found[1] == b"twelve"
    assert client.strlen(entity_keys("pump", OPTIONS.shards)[0]) == HEADER_BYTES + 6


def test_a_new_layout_may_bring_older_rows_along(store: Store) -> None:
    first = commit(3, 3)
    store.commit([first])
    other = dataclasses.replace(LAYOUT, digest="b2")
    swap = replace(commit(4, 3, after=first.new_token), layout=other, snapshot=b"swapped")
    assert store.commit([swap]) == [Outcome.OK]
    found = store.recent(["pump"], 8)[0]
    assert found is not None
    assert found[1] == rows(2, 4)


def test_the_ring_grows_lazily_and_never_beyond_its_capacity(store: Store, client: Redis) -> None:
    ring_key = entity_keys("pump", OPTIONS.shards)[0]
    token, sizes = b"", []
    for seq in range(1, 13):
        step = replace(commit(seq, after=token), snapshot=b"s")
        store.commit([step])
        token = step.new_token
        sizes.append(client.strlen(ring_key))
    assert sizes == [HEADER_BYTES + 4 * min(seq, 8) for seq in range(1, 13)]


def test_a_full_ring_takes_no_more_memory_than_its_bytes(store: Store, client: Redis) -> None:
    """Redis gives a string that grows twice what it needs."""
    wide = Layout(row_bytes=264, capacity=228, digest="a1")
    ring_key, token = entity_keys("pump", OPTIONS.shards)[0].decode(), b""
    for seq in range(1, wide.capacity + 1):
        step = replace(
            commit(seq, after=token), layout=wide, rows=b"%264d" % seq, snapshot=b"s", seq=seq
        )
        assert store.commit([step]) == [Outcome.OK]
        token = step.new_token
    payload = client.strlen(ring_key)
    assert payload == HEADER_BYTES + 264 * 228
    assert (client.memory_usage(ring_key) or 0) < 1.2 * payload
    found = store.recent(["pump"], 300)[0]
    assert found is not None
    assert found[1] == b"".join(b"%264d" % seq for seq in range(1, wide.capacity + 1))


def test_more_rows_than_the_ring_holds_keep_the_newest(store: Store) -> None:
    first = commit(3, 3)
    store.commit([first])
    store.commit([replace(commit(30, 27, after=first.new_token), snapshot=b"s")])
    found = store.recent(["pump"], 100)[0]
    assert found is not None
    assert found[1] == rows(23, 30)


def test_what_cannot_be_is_refused_before_anything_is_written(store: Store) -> None:
    first = commit(1)
    store.commit([first])
    good = commit(1, entity="fan")
    bad = [
        commit(3, after=first.new_token),  # number 2 is missing
        commit(10, 9, after=first.new_token),  # the ring would lose the snapshot's rows
    ]
    for each in bad:
        with pytest.raises(ValueError, match="commit 2"):
            store.commit([good, each])
    with pytest.raises(ValueError, match="distinct"):
        store.commit([good, good])
    with pytest.raises(ValueError, match="512"):
        store.load([str(number) for number in range(513)])
    assert store.load(["fan"]) == [None]


def test_a_longer_life_begins_with_the_next_commit(redis_url: str, client: Redis) -> None:
    """The keys still end when the shorter setting said."""
    first, keys = commit(1), entity_keys("pump", OPTIONS.shards)
    with closing(Store(redis_url, dataclasses.replace(OPTIONS, ttl_seconds=60))) as store:
        store.commit([first])
    assert all(0 < client.ttl(key) <= 60 for key in keys)
    with closing(Store(redis_url, OPTIONS)) as store:
        store.commit([commit(2, after=first.new_token)])  # no snapshot
    assert all(client.ttl(key) > OPTIONS.ttl_seconds - 10 for key in keys)


def test_a_new_layout_without_a_snapshot_is_stale(store: Store) -> None:
    """Who held it did not know: the other commits of the call are made."""
    first = commit(1)
    store.commit([first])
    other = dataclasses.replace(LAYOUT, digest="b2")
    late = replace(commit(2, after=first.new_token), layout=other)
    assert store.commit([commit(1, entity="fan"), late]) == [Outcome.OK, Outcome.STALE]


def test_a_damaged_header_is_loaded_as_such_and_goes_on_by_its_token(
    store: Store, client: Redis
) -> None:
    first = commit(1)
    store.commit([first, commit(1, entity="fan")])
    header = read_header(client, "pump", OPTIONS.shards)
    assert header is not None
    for text in (b"junk", b"0:0:a1", b""):
        write_header(client, "pump", OPTIONS.shards, header._replace(layout=text))
        found, other = store.load(["pump", "fan"])
        assert found is not None
        assert other is not None
        assert (found.token, found.layout.digest) == (first.new_token, "damaged")
        assert (found.snapshot, found.rows, found.waiting) == (b"", b"", b"")
        assert store.recent(["pump"], 8)[0] is not None
    again = replace(commit(2, after=first.new_token), snapshot=b"anew")
    assert store.commit([again]) == [Outcome.OK]
    assert store.load(["pump"])[0] is not None


@pytest.mark.parametrize("key", [0, 1])
def test_a_key_of_a_wrong_type_stops_the_call_before_it_writes(
    store: Store, client: Redis, key: int
) -> None:
    client.lpush(entity_keys("pump", OPTIONS.shards)[key], "not ours")
    with pytest.raises(StoreUnavailable, match="WRONGTYPE"):
        store.commit([commit(1, entity="fan"), commit(1)])
    assert store.load(["fan"]) == [None]


def test_a_full_redis_keeps_nothing_and_says_so(store: Store, client: Redis) -> None:
    first = commit(1)
    store.commit([first])
    client.config_set("maxmemory", "1")
    try:
        with pytest.raises(StoreUnavailable, match="memory"):
            store.commit([commit(1, entity="fan"), commit(2, after=first.new_token)])
    finally:
        client.config_set("maxmemory", "0")
    assert store.load(["fan"]) == [None]


@pytest.mark.parametrize(
    "change",
    [
        {"snapshot": None},
        {"new_token": b"short"},
        {"rows": b"123"},
        {"seq": 0},
        {"row_count": 2, "rows": b"00010002"},
        {"seq": -1, "row_count": 0, "rows": b""},
        {"scored": 1},
        {"scored": 2, "model": "tiny/1"},
        {"scored": -1, "model": "tiny/1"},
    ],
)
def test_a_commit_that_contradicts_itself_cannot_be_made(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"expected|needs"):
        replace(commit(1), **change)


def test_a_layout_without_bytes_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="ring"):
        Layout(row_bytes=0, capacity=8, digest="a1")


def test_no_commit_needs_no_redis() -> None:
    with closing(Store("redis://127.0.0.1:1", OPTIONS)) as nowhere:
        assert nowhere.commit([]) == []
        assert nowhere.load([]) == []
        nowhere.delete([])


def test_alerts_are_numbered_without_holes_in_their_shard(store: Store, client: Redis) -> None:
    first = replace(commit(1), alerts=(b"one", b"", b"two\x00"))
    store.commit([first])
    store.commit([replace(commit(2, after=first.new_token), alerts=(b"three",))])
    expected = [(b"1-0", b"one"), (b"2-0", b""), (b"3-0", b"two\x00"), (b"4-0", b"three")]
    assert alerts_of(client) == expected
    assert client.get(alert_count_key(SHARD)) == b"4"


def test_a_lost_alert_count_is_found_again_in_the_stream(store: Store, client: Redis) -> None:
    first = replace(commit(1), alerts=(b"one",))
    store.commit([first])
    client.delete(alert_count_key(SHARD))
    store.commit([replace(commit(2, after=first.new_token), alerts=(b"two",))])
    assert alerts_of(client) == [(b"1-0", b"one"), (b"2-0", b"two")]


def test_the_alert_log_is_trimmed(redis_url: str, client: Redis) -> None:
    with closing(Store(redis_url, dataclasses.replace(OPTIONS, alerts_kept=50))) as store:
        store.commit([replace(commit(1), alerts=tuple(b"%d" % n for n in range(1, 501)))])
    assert 50 <= client.xlen(alert_stream_key(SHARD)) < 500
    assert alerts_of(client)[-1] == (b"500-0", b"500")


def test_entities_expire_and_configuration_does_not(store: Store, client: Redis) -> None:
    store.check()
    first = replace(commit(1), waiting=b"waits")
    store.commit([first])
    keys = entity_keys("pump", OPTIONS.shards)
    assert all(0 < client.ttl(key) <= OPTIONS.ttl_seconds for key in keys)
    second = commit(2, after=first.new_token)
    store.commit([second])  # no snapshot, and the end is not near
    make_old(client, keys, seconds=OPTIONS.ttl_seconds // 2 + 1)
    store.commit([commit(3, after=second.new_token)])  # no snapshot, but the end is near
    assert all(client.ttl(key) > OPTIONS.ttl_seconds // 2 for key in keys)
    assert client.ttl(EPOCH_KEY) == client.ttl("gw:shards") == -1


def make_old(client: Redis, keys: Sequence[bytes], *, seconds: int) -> None:
    """As if they had been renewed so long before."""
    header = read_header(client, "pump", OPTIONS.shards)
    assert header is not None
    old = header._replace(expires_seconds=header.expires_seconds - seconds)
    write_header(client, "pump", OPTIONS.shards, old)
    for key in keys:
        client.expire(key, OPTIONS.ttl_seconds - seconds)


@given(entity=st.text(st.characters(exclude_categories=["Cs"])), shards=st.integers(1, 64))
def test_names_of_any_characters_keep_their_shard_as_hash_tag(entity: str, shards: int) -> None:
    keys = entity_keys(entity, shards)
    assert len(set(keys)) == 2
    for key in keys:
        assert key.startswith(b"gw:{%d}:" % shard_of(entity, shards))
        assert key.endswith(entity.encode())


def test_any_name_can_be_stored(store: Store, client: Redis) -> None:
    names = ["", "a b", "{x}:h:", "pümp/№1", "\x00\n", "}{"]
    assert store.commit([replace(commit(1, entity=name), alerts=(b"!",)) for name in names]) == [
        Outcome.OK
    ] * len(names)
    assert all(store.load(names))
    written: list[str] = []
    for shard in range(OPTIONS.shards):
        entries: Any = client.xrange(alert_stream_key(shard))
        written += [fields[b"entity"].decode() for _, fields in entries]
    assert sorted(written) == sorted(names)


def test_shards_are_the_same_for_ever() -> None:
    assert shard_of("123456789", 1_000) == 0xCBF43926 % 1_000  # the check value of CRC-32


@given(
    entity=st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    steps=st.lists(st.integers(1, 3 * POINTS_PER_SNAPSHOT), max_size=20),
)
def test_a_snapshot_is_due_at_creation_and_at_least_every_32_points(
    entity: str, steps: list[int]
) -> None:
    seq = snapshot_seq = 0
    for step in steps:
        if snapshot_due(entity, seq, seq + step):
            snapshot_seq = seq + step
        seq += step
        assert snapshot_seq > 0
        assert seq - snapshot_seq < POINTS_PER_SNAPSHOT


def test_snapshots_are_staggered() -> None:
    due = [snapshot_due(f"machine-{number}", 31, 32) for number in range(1_000)]
    assert 10 < sum(due) < 80


def test_check_accepts_durability_at_least_as_strong(store: Store, client: Redis) -> None:
    store.check()
    client.config_set("appendfsync", "always")
    store.check()


@pytest.mark.parametrize(
    ("durability", "name", "value"),
    [
        ("always", "appendfsync", "everysec"),
        ("everysec", "appendfsync", "no"),
        ("everysec", "maxmemory-policy", "allkeys-lru"),
    ],
)
def test_check_refuses_a_redis_that_would_lose_data(
    redis_url: str, client: Redis, durability: str, name: str, value: str
) -> None:
    client.config_set(name, value)
    options = StoreOptions(durability="always" if durability == "always" else "everysec")
    complaint = pytest.raises(StoreMisconfigured, match=f"{name}.*came {value}.*fix: .*{name}")
    with closing(Store(redis_url, options)) as store, complaint:
        store.check()


def test_check_refuses_another_number_of_shards(store: Store, redis_url: str) -> None:
    store.check()
    complaint = pytest.raises(StoreMisconfigured, match="expected 5 shards, came 4")
    with closing(Store(redis_url, dataclasses.replace(OPTIONS, shards=5))) as other, complaint:
        other.check()


class Proxy:
    """A TCP proxy that can swallow one reply, or stop answering altogether."""

    def __init__(self, upstream_url: str) -> None:
        self.swallow_next = threading.Event()
        self.swallowed = 0
        self.is_silent = False
        self._path = unquote(urlsplit(upstream_url).path)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}"
        self._open: list[socket.socket] = [self._listener]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX)
            far.connect(self._path)
            self._open += [near, far]
            threading.Thread(target=self._pump, args=(near, far, False), daemon=True).start()
            threading.Thread(target=self._pump, args=(far, near, True), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, is_reply: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                if is_reply and self.swallow_next.is_set():
                    self.swallow_next.clear()
                    self.swallowed += 1
                    break
                if not self.is_silent:
                    sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        for end in self._open:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


@contextmanager
def proxied(redis_url: str) -> Iterator[tuple[Proxy, Store]]:
    with closing(Proxy(redis_url)) as proxy, closing(Store(proxy.url, OPTIONS)) as store:
        yield proxy, store


def test_a_lost_reply_is_resent_and_nothing_is_written_twice(redis_url: str, client: Redis) -> None:
    with proxied(redis_url) as (proxy, store):
        first = replace(commit(1), alerts=(b"one",))
        assert store.commit([first]) == [Outcome.OK]  # connected, script loaded
        second = replace(commit(3, 2, after=first.new_token), alerts=(b"two",))
        proxy.swallow_next.set()
        assert store.commit([second]) == [Outcome.OK]
        assert proxy.swallowed == 1
        found = store.recent(["pump"], 8)[0]
        assert found is not None
        assert (found[0].token, found[1]) == (second.new_token, rows(1, 3))
    assert alerts_of(client) == [(b"1-0", b"one"), (b"2-0", b"two")]


def test_a_silent_redis_is_given_up_within_the_budget(redis_url: str) -> None:
    with proxied(redis_url) as (proxy, store):
        first = commit(1)
        store.commit([first])
        proxy.is_silent = True
        second = commit(2, after=first.new_token)
        started = time.monotonic()
        with pytest.raises(StoreUnavailable):
            store.commit([second])
        assert time.monotonic() - started < 3
        proxy.is_silent = False
        assert store.commit([second]) == [Outcome.OK]  # whatever became of the first attempts


@pytest.mark.slow
def test_a_killed_redis_is_unavailable_and_has_lost_nothing_after_its_restart(
    server_binary: Path, tmp_path: Path
) -> None:
    server = EmbeddedValkey(tmp_path, binary=server_binary)
    with (
        server,
        closing(Store(server.url, dataclasses.replace(OPTIONS, durability="always"))) as store,
    ):
        store.check()
        token = b""
        for seq in range(1, 21):
            step = replace(commit(seq, after=token), snapshot=b"s%d" % seq)
            store.commit([step])
            token = step.new_token
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        started = time.monotonic()
        with pytest.raises(StoreUnavailable):
            store.commit([commit(21, after=token)])
        assert time.monotonic() - started < 3
        server.stop()
        with server:
            assert store.commit([commit(21, after=token)]) == [Outcome.OK]
            found = store.recent(["pump"], 8)[0]
    assert found is not None
    assert found[1] == rows(14, 21)
