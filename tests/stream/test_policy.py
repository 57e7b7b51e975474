"""Policies: who wins, what may be said, and when nothing opens. Against obvious references."""

import math
import re
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, strategies as st

from service.errors import BadInput
from service.stream.configuration import Configuration
from service.stream.effective import effective
from service.stream.policy import (
    SINGLE,
    UNSAID,
    DimensionPolicy,
    Direction,
    Maintenance,
    Patterned,
    Policies,
    Policy,
    closed,
    merged,
)
from service.stream.policy_limits import checked, checked_policy
from service.stream.serving import Serving

HOUR_MS = 3_600_000
WEEK_SECONDS = 604_800
DIMENSIONS = ("cpu", "memory")
DIRECTIONS: tuple[Direction, ...] = ("both", "up", "down", "none")
PAGE = Path(__file__).parents[2] / "docs" / "policies.md"
ENTITIES = ("web-1", "web-2", "db-1", "x")

directions = st.none() | st.sampled_from(DIRECTIONS)
dimension_policies = st.builds(
    DimensionPolicy, direction=directions, min_deviation=st.none() | st.sampled_from([0.0, 2.5])
)
windows = st.builds(
    lambda start, length, slack: Maintenance(
        start, start + 1000 * length, None if slack is None else length + slack
    ),
    st.integers(0, 50_000),
    st.integers(1, 20),
    st.none() | st.integers(0, 15),
)
policies_of_one = st.builds(
    Policy,
    budget=st.none() | st.sampled_from([0.5, 2.0]),
    open_count=st.none() | st.integers(1, 3),
    resolve_after=st.none() | st.integers(1, 1_000),
    alert_while_calibrating=st.none() | st.booleans(),
    muted_until_ms=st.none() | st.integers(0, 100_000),
    maintenance=st.lists(windows, max_size=3).map(tuple),
    direction=directions,
    min_deviation=st.none() | st.just(1.0),
    dimensions=st.dictionaries(st.sampled_from(DIMENSIONS), dimension_policies),
)
documents = st.builds(
    Policies,
    default=policies_of_one,
    patterns=st.lists(
        st.builds(Patterned, st.sampled_from(["web-*", "*", "db-[0-9]", "?"]), policies_of_one),
        max_size=3,
    ).map(tuple),
    entities=st.dictionaries(st.sampled_from(ENTITIES), policies_of_one, max_size=2),
)


def levels_of(policies: Policies, entity: str) -> list[Policy]:
    matching = [one.policy for one in policies.patterns if fnmatchcase(entity, one.pattern)]
    own = [policies.entities[entity]] if entity in policies.entities else []
    return [policies.default, *matching, *own]


def last_said(values: Sequence[object]) -> object:
    return next((value for value in reversed(values) if value is not None), None)


@given(documents, st.sampled_from(ENTITIES))
def test_the_last_level_that_says_a_field_wins(policies: Policies, entity: str) -> None:
    policy, levels = policies.of(entity), levels_of(policies, entity)
    for name in SINGLE:
        expected = last_said([getattr(level, name) for level in levels])
        if name == "open_window" and (policy.open_count or 1) > 1:
            expected = policy.open_count  # no level says a window here
        assert getattr(policy, name) == expected, name
    assert set(policy.maintenance) == {one for level in levels for one in level.maintenance}
    for dimension in DIMENSIONS:
        said = [level.dimensions.get(dimension, DimensionPolicy()) for level in levels]
        own = policy.dimensions.get(dimension, DimensionPolicy())
        assert own.direction == last_said([one.direction for one in said])
        assert own.min_deviation == last_said([one.min_deviation for one in said])


@given(documents)
def test_equal_policies_are_one_object(policies: Policies) -> None:
    found = [policies.of(entity) for entity in ENTITIES]
    for one in found:
        assert all(one is other for other in found if one == other)
    assert all(policies.of(entity) is one for entity, one in zip(ENTITIES, found, strict=True))
    assert msgspec.json.decode(msgspec.json.encode(policies), type=Policies) == policies
    assert Policies().of("x") is Policies().default


def test_entities_without_a_word_have_the_default_itself() -> None:
    default = Policy(open_count=2, open_window=3)
    policies = Policies(default=default, entities={"db-1": Policy(budget=1.0)})
    assert policies.of("web-1") is default
    patterned = Policies(default=default, patterns=(Patterned("db-*", Policy()),))
    assert patterned.of("web-1") is default
    assert patterned.of("db-1") is default


def test_a_policy_is_looked_up_quickly() -> None:
    words = [f"*-{number}-*" for number in range(1_000)]
    patterns = tuple(Patterned(word, Policy(budget=1.0)) for word in words)
    policies = Policies(patterns=patterns)
    policies.of("machine-7-7")
    started = time.perf_counter()
    for _ in range(1_000):
        policies.of("machine-7-7")
    assert time.perf_counter() - started < 0.1


@pytest.mark.parametrize(
    ("default", "own", "expected"),
    [
        (Policy(), Policy(open_count=3), (3, 3)),
        (Policy(open_window=2), Policy(open_count=3), (3, 3)),
        (Policy(open_count=3, open_window=5), Policy(open_window=2), (3, 3)),
        (Policy(open_count=3, open_window=5), Policy(open_count=2), (2, 5)),
        (Policy(open_window=4), Policy(), (None, 4)),
    ],
)
def test_the_window_holds_the_count(
    default: Policy, own: Policy, expected: tuple[int | None, int]
) -> None:
    policy = Policies(default=default, entities={"x": own}).of("x")
    assert (policy.open_count, policy.open_window) == expected
    alone = Policies(default=merged(default, own)).of("x")
    assert (alone.open_count, alone.open_window) == expected


def test_a_dimension_says_more_than_the_policy_of_all() -> None:
    policy = Policy(
        direction="up", min_deviation=3.0, dimensions={"cpu": DimensionPolicy(min_deviation=0.0)}
    )
    assert policy.of_dimension("cpu") == DimensionPolicy("up", 0.0)
    assert policy.of_dimension("memory") == DimensionPolicy("up", 3.0)
    assert Policy().of_dimension("cpu") == DimensionPolicy("both", 0.0)
    assert UNSAID.of_dimension("cpu") == DimensionPolicy("both", 0.0)


def is_closed(policy: Policy, timestamp_ms: int) -> bool:
    """The obvious way: every repetition up to the point."""
    if timestamp_ms < (policy.muted_until_ms or 0):
        return True
    for window in policy.maintenance:
        start_ms, length_ms = window.start_ms, window.end_ms - window.start_ms
        while start_ms <= timestamp_ms:
            if timestamp_ms < start_ms + length_ms:
                return True
            if window.every_seconds is None:
                break
            start_ms += window.every_seconds * 1000
    return False


@given(policies_of_one, st.lists(st.integers(0, 200_000), max_size=30))
def test_mutes_and_maintenance_close_what_the_obvious_way_closes(
    policy: Policy, times: list[int]
) -> None:
    found = closed(policy, np.array(times, np.int64))
    assert found.dtype == bool
    assert found.tolist() == [is_closed(policy, time) for time in times]


def test_a_weekly_backup_is_closed_every_week_and_not_before() -> None:
    start = 1_750_000_000_000
    policy = Policy(maintenance=(Maintenance(start, start + HOUR_MS, WEEK_SECONDS),))
    weeks = start + 1000 * WEEK_SECONDS * np.arange(-1, 3_000, dtype=np.int64)
    assert closed(policy, weeks).tolist() == [False] + [True] * 3_000
    assert closed(policy, weeks + HOUR_MS - 1)[1:].all()
    assert not closed(policy, weeks + HOUR_MS).any()


@given(documents)
def test_what_is_within_the_limits_is_accepted(policies: Policies) -> None:
    assert checked(policies) is policies


BAD: list[tuple[Policy, str]] = [
    (Policy(budget=0.0), r"\$\.budget: expected a number above 0, at most a million, came 0.0"),
    (
        Policy(budget=1e6 + 1),
        r"\$\.budget: expected a number above 0, at most a million, came 1000001.0",
    ),
    (Policy(budget=math.nan), "came nan"),
    (Policy(budget=math.inf), "came inf"),
    (Policy(budget=-1.0), "came -1.0"),
    (Policy(open_count=0), "1 to 32 points, came 0"),
    (Policy(open_window=33), "came 33"),
    (Policy(open_count=4, open_window=3), r"at most open_window \(3\), came 4"),
    (Policy(resolve_after=10**300), r"1 to 1000 points, came 10{39}\.\.\."),
    (Policy(resolve_below=0.0), "above 0, at most 1"),
    (Policy(resolve_below=1.5), "above 0, at most 1"),
    (Policy(cool_down_seconds=2_592_001.0), "30 days"),
    (Policy(lateness_seconds=math.nan), "0 to 3600"),
    (Policy(muted_until_ms=-1), "since 1970"),
    (Policy(min_deviation=-0.5), "at least 0"),
    (Policy(min_deviation=math.inf), "at least 0"),
    (Policy(dimensions={"cpu": DimensionPolicy(min_deviation=math.nan)}), r"\['cpu'\]\.min_dev"),
    (Policy(dimensions={"": DimensionPolicy()}), "printable"),
    (Policy(dimensions={"\x00": DimensionPolicy()}), r"came '\\x00'"),
    (Policy(dimensions={f"d{n}": DimensionPolicy() for n in range(10_001)}), "came 10001"),
    (Policy(maintenance=(Maintenance(5, 5),)), r"maintenance\[0\]\.end_ms: .*after start_ms"),
    (Policy(maintenance=(Maintenance(-5, 5),)), r"start_ms: .*1970"),
    (Policy(maintenance=(Maintenance(0, 10**400),)), r"end_ms: .*2200"),
    (Policy(maintenance=(Maintenance(0, 60_001, 60),)), r"every_seconds: expected 61 "),
    (Policy(maintenance=(Maintenance(0, 1, 0),)), "expected 1 "),
    (Policy(maintenance=(Maintenance(0, 1, 10**30),)), "to 31622400 seconds"),
    (Policy(maintenance=(Maintenance(0, 1),) * 101), "at most 100 windows, came 101"),
]


@pytest.mark.parametrize(("policy", "message"), BAD)
def test_what_cannot_hold_is_refused_with_its_place(policy: Policy, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        checked_policy(policy)
    for document in (
        Policies(default=policy),
        Policies(patterns=(Patterned("*", policy),)),
        Policies(entities={"web-1": policy}),
    ):
        with pytest.raises(BadInput) as refusal:
            Configuration().with_policies(document)
        assert refusal.value.errors[0]["path"] in refusal.value.detail
    with pytest.raises(BadInput):
        Configuration().with_policy_of("x", policy)


def test_every_fault_is_listed_up_to_a_hundred() -> None:
    bad = Policy(budget=0.0, open_count=0)
    few = Policies(default=bad, entities={"db-1": bad})
    with pytest.raises(BadInput, match=r"\$\.default\.budget: .* \(and 3 more\)") as refusal:
        checked(few)
    paths = [error["path"] for error in refusal.value.errors]
    assert paths[2:] == ["$.entities['db-1'].budget", "$.entities['db-1'].open_count"]
    with pytest.raises(BadInput) as refusal:
        checked(Policies(patterns=(Patterned("", bad),) * 1_001))
    assert "at most 1000 patterns, came 1001" in refusal.value.detail
    assert len(refusal.value.errors) == 100


def test_too_many_entities_are_refused() -> None:
    full = Policies(entities={f"machine-{number}": Policy() for number in range(100_000)})
    assert checked(full) is full
    configuration = Configuration(policies=full)
    assert configuration.with_policy_of("machine-1", Policy(budget=1.0)).policies != full
    with pytest.raises(BadInput, match="at most 100000"):
        configuration.with_policy_of("one more", Policy())
    with pytest.raises(BadInput, match="came 100001"):
        checked(Policies(entities={**full.entities, "one more": Policy()}))


def test_a_configuration_keeps_policies_and_reads_documents_without_them() -> None:
    assert Configuration.decode(b'{"active":{}}') == Configuration()
    own = Policy(muted_until_ms=7, dimensions={"cpu": DimensionPolicy("up")})
    configuration = Configuration().with_policy_of("web-1", own)
    assert Configuration.decode(configuration.encode()) == configuration
    assert configuration.policies.of("web-1") == own
    assert configuration.with_policy_of("web-1", None) == Configuration()
    assert configuration.with_policy_of("db-1", None) == configuration


@given(st.text("[]!*?-^&~|\\az", max_size=12), st.text("[]-az", max_size=6))
def test_any_pattern_matches_what_the_shell_would(pattern: str, entity: str) -> None:
    policies = Policies(patterns=(Patterned(pattern, Policy(budget=1.0)),))
    assert (policies.of(entity).budget is not None) == fnmatchcase(entity, pattern)


def test_a_hostile_pattern_takes_no_time() -> None:
    policies = Policies(patterns=(Patterned("*a" * 100, Policy(budget=1.0)),))
    started = time.perf_counter()
    policies.of("a" * 99 + "b" * 100)
    assert time.perf_counter() - started < 1.0


def test_an_entity_that_nothing_scores_has_a_policy_without_a_budget() -> None:
    configuration = Configuration().with_policy_of("x", Policy(open_count=2))
    found = effective(Serving(7, configuration, {}, shadows={}), "x")
    assert (found.bundle, found.epoch, found.unknown_dimensions) == (None, 7, [])
    assert found.policy == msgspec.structs.replace(UNSAID, open_count=2, open_window=2)
    assert found.sources == {"open_count": "entity"}


def test_every_field_is_documented_and_what_is_unsaid_is_true() -> None:
    cells = re.findall(r"^\| `([a-z_]+)` \| (.*?) \|", PAGE.read_text("utf-8"), re.MULTILINE)
    documented = dict(cells)
    assert documented.keys() == set(Policy.__struct_fields__)
    for name in SINGLE:
        if (unsaid := getattr(UNSAID, name)) is not None:
            expected = unsaid if isinstance(unsaid, str) else msgspec.json.encode(unsaid).decode()
            assert documented[name].strip("`") == expected.removesuffix(".0"), name


def test_the_documented_example_is_what_it_says() -> None:
    blocks = re.findall(r"^```json\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    inherited, backup = (checked(msgspec.json.decode(one, type=Policies)) for one in blocks)
    assert inherited.of("node-07") == Policy(
        budget=0.5,
        open_count=2,
        open_window=8,
        cool_down_seconds=3600.0,
        direction="up",
        dimensions={"cache_hit_ratio": DimensionPolicy("down", 0.1)},
    )
    sunday_three = datetime(2026, 11, 22, 3, tzinfo=UTC)
    times = [1000 * int(sunday_three.timestamp()) + hours * HOUR_MS for hours in (-24, -2, 0, 1)]
    assert closed(backup.of("db-1"), np.array(times)).tolist() == [False, False, True, False]
