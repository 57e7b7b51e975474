"""Which entities are kept: listed page by page, counted, and never more than may be."""

import dataclasses
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest
from hypothesis import given, strategies as st
from msgspec.structs import replace
from redis import Redis

from service.errors import BadCursor
from service.stream.commit import Commit, Outcome
from service.stream.keys import entity_index_key, entity_keys, shard_of
from service.stream.roster import MAX_LOOKED_AT
from service.stream.store import Store, StoreOptions
from tests.stream.test_store import commit

SHARDS = 4
OPTIONS = StoreOptions(shards=SHARDS, durability="everysec")


@pytest.fixture
def store(redis_url: str) -> Iterator[Store]:
    with closing(Store(redis_url, OPTIONS)) as opened:
        yield opened


@pytest.fixture
def client(redis_url: str) -> Iterator[Redis]:
    with Redis.from_url(redis_url) as opened:
        yield opened


def named(count: int, *, shard: int | None = None) -> list[str]:
    names = (f"machine-{number}" for number in range(100_000))
    chosen = (name for name in names if shard in (None, shard_of(name, SHARDS)))
    return [name for name, _ in zip(chosen, range(count), strict=False)]


def created(store: Store, names: list[str]) -> dict[str, Commit]:
    commits = [commit(1, entity=name) for name in names]
    assert store.commit(commits) == [Outcome.OK] * len(names)
    return {one.entity: one for one in commits}


def pages(store: Store, limit: int) -> Iterator[list[str]]:
    after = None
    while True:
        page = store.entities(after, limit)
        yield page.entities
        after = page.next
        if after is None:
            return


@pytest.mark.parametrize("limit", [1, 7, 1_000])
def test_pages_join_to_all_who_are_kept(store: Store, limit: int) -> None:
    names = ["", "a:b", "pümp", *named(60)]
    created(store, names)
    store.delete(["a:b", "machine-7"])
    joined = [name for page in pages(store, limit) for name in page]
    assert sorted(joined) == sorted({*names} - {"a:b", "machine-7"})
    assert store.entity_count() == len(joined)


def test_who_expired_is_not_listed(store: Store, client: Redis) -> None:
    names = named(20)
    created(store, names)
    for name in names[:15]:
        client.delete(*entity_keys(name, SHARDS))
    assert sorted(n for page in pages(store, 3) for n in page) == sorted(names[15:])


def test_many_who_expired_make_a_page_short_not_slow(store: Store, client: Redis) -> None:
    key = entity_index_key(0)
    client.zadd(key, {f"gone-{number:05d}": number for number in range(1, MAX_LOOKED_AT + 10)})
    created(store, ["pump"])
    short = store.entities(None, 5)
    assert (short.entities, short.next is None) == ([], False)
    assert store.entities(short.next, 5) == (["pump"], None)


def test_who_is_renewed_while_pages_are_read_is_not_missed(store: Store) -> None:
    names = named(40)
    last = created(store, names)
    seen: list[str] = []
    for number, page in enumerate(pages(store, 3)):
        seen += page
        if number < 10:
            renewed = replace(commit(2, after=last[names[number]].new_token), snapshot=b"s")
            assert store.commit([replace(renewed, entity=names[number])]) == [Outcome.OK]
    assert {*seen} == {*names}


@pytest.mark.parametrize("after", ["", "x", "0", "0:", "9:1:a", "-1:1:a", "0:1.5:a", "0:²:a"])
def test_a_cursor_we_never_gave_is_refused(store: Store, after: str) -> None:
    with pytest.raises(BadCursor):
        store.entities(after, 1)


@given(text=st.text(max_size=30))
def test_no_cursor_makes_us_fail(redis_session_url: str, text: str) -> None:
    with closing(Store(redis_session_url, OPTIONS)) as store, suppress(BadCursor):
        store.entities(text, 1)


def test_an_ordinary_commit_leaves_the_index_alone(store: Store, client: Redis) -> None:
    first = commit(1)
    store.commit([first])
    key = entity_index_key(shard_of("pump", SHARDS))
    client.zadd(key, {"pump": 5})
    second = commit(2, after=first.new_token)
    store.commit([second])
    assert client.zscore(key, "pump") == 5
    store.commit([replace(commit(3, after=second.new_token), snapshot=b"s")])
    seconds, _ = client.time()
    renewed_ms = client.zscore(key, "pump")
    assert isinstance(renewed_ms, float)
    assert abs(renewed_ms / 1000 - seconds) < 60


def test_one_too_many_is_refused_and_the_others_go_on(redis_url: str, client: Redis) -> None:
    with closing(Store(redis_url, dataclasses.replace(OPTIONS, entities_kept=8))) as store:
        first, second, third = named(3, shard=1)
        old = created(store, [first, second])[first]
        refused = replace(commit(1, entity=third), alerts=(b"never",), scored=1, model="tiny/1")
        going_on = replace(commit(2, after=old.new_token), entity=first)
        elsewhere = commit(1, entity=named(1, shard=2)[0])
        outcomes = store.commit([refused, going_on, elsewhere])
        assert outcomes == [Outcome.FULL, Outcome.OK, Outcome.OK]
        assert store.load([third]) == [None]
        assert store.scored(range(1)) == {}
        assert client.keys(f"gw:*:{third}") == client.keys("gw:*:alerts") == []
        store.delete([second])
        assert store.commit([refused]) == [Outcome.OK]


def test_who_expired_makes_room_some_at_a_time(redis_url: str, client: Redis) -> None:
    options = dataclasses.replace(OPTIONS, entities_kept=40 * SHARDS)
    with closing(Store(redis_url, options)) as store:
        names = sorted(named(80, shard=0))  # those of one millisecond are in order of their names
        old, new = names[:40], names[40:]
        created(store, old)
        for name in old[:30]:
            client.delete(*entity_keys(name, SHARDS))
        outcomes = store.commit([commit(1, entity=name) for name in new])
        assert outcomes.count(Outcome.OK) == 20
        refused = [name for name, one in zip(new, outcomes, strict=True) if one is Outcome.FULL]
        outcomes += store.commit([commit(1, entity=name) for name in refused])
        assert outcomes.count(Outcome.OK) == 30
        assert store.entity_count() == 40


def test_who_expired_and_comes_back_has_its_place(redis_url: str, client: Redis) -> None:
    with closing(Store(redis_url, dataclasses.replace(OPTIONS, entities_kept=2 * SHARDS))) as store:
        first, second, third = named(3, shard=3)
        created(store, [first, second])
        client.delete(*entity_keys(first, SHARDS))
        back = [commit(1, entity=name) for name in (first, third)]
        assert store.commit(back) == [Outcome.OK, Outcome.FULL]
        client.delete(*entity_keys(first, SHARDS))
        other = [commit(1, entity=name) for name in (third, first)]
        assert store.commit(other) == [Outcome.OK, Outcome.FULL]


def test_points_may_wait_before_the_first_row(store: Store, client: Redis) -> None:
    first = replace(commit(1), seq=0, rows=b"", row_count=0, waiting=b"waits\x00")
    assert store.commit([first]) == [Outcome.OK]
    found = store.recent(["pump"], 9)[0]
    assert found is not None
    assert (found[0].seq, found[0].rows, found[1], found[0].waiting) == (0, b"", b"", b"waits\x00")
    second = commit(2, 2, after=first.new_token)
    assert store.commit([second]) == [Outcome.OK]
    found = store.recent(["pump"], 9)[0]
    assert found is not None
    assert (found[0].rows, found[1], found[0].waiting) == (b"00010002", b"00010002", b"waits\x00")
    keys = entity_keys("pump", SHARDS)
    assert all(0 < client.ttl(key) <= OPTIONS.ttl_seconds for key in keys)


def test_waiting_points_change_alone_and_stay_when_nobody_speaks_of_them(
    store: Store, client: Redis
) -> None:
    last = replace(commit(1), waiting=b"one")
    steps = [(1, 0, b"two"), (2, 1, None), (2, 0, b""), (3, 1, b"three"), (4, 1, b"")]
    store.commit([last])
    kept = []
    for seq, count, waiting in steps:
        last = replace(commit(seq, count, after=last.new_token), waiting=waiting)
        assert store.commit([last]) == [Outcome.OK]
        found = store.load(["pump"])[0]
        assert found is not None
        kept.append((found.seq, found.waiting))
    assert kept == [(1, b"two"), (2, b"two"), (2, b""), (3, b"three"), (4, b"")]
    assert client.getrange(entity_keys("pump", SHARDS)[1].decode(), 0, 3) == bytes(4)


def test_nothing_that_waits_outlives_its_entity(store: Store) -> None:
    store.commit([replace(commit(1), waiting=b"waits")])
    store.delete(["pump"])
    store.commit([commit(1)])
    found = store.load(["pump"])[0]
    assert found is not None
    assert found.waiting == b""


def test_points_are_counted_by_model_and_day_once_each(store: Store, client: Redis) -> None:
    names = named(50)
    first = [
        replace(commit(3, 3, entity=name), model=f"m/{number % 2}", scored=number % 4, day=7)
        for number, name in enumerate(names)
    ]
    store.commit(first)
    store.commit(first)  # the answer was lost
    stale = replace(commit(4, after=b"x" * 16), entity=names[0], model="m/1", scored=1, day=7)
    fresh = replace(commit(4, after=first[1].new_token), entity=names[1], model="m/1", scored=1)
    assert store.commit([stale, replace(fresh, day=8)]) == [Outcome.STALE, Outcome.OK]
    by_model = {f"m/{odd}": sum(n % 4 for n in range(50) if n % 2 == odd) for odd in (0, 1)}
    assert store.scored(range(7, 8)) == by_model
    assert store.scored(range(9)) == by_model | {"m/1": by_model["m/1"] + 1}
    assert store.scored(range(8, 8)) == {}
    for key in client.scan_iter("gw:*:scored:*"):
        assert 99 * 86_400 < client.ttl(key) <= 100 * 86_400
