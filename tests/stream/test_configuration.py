"""Who is assigned to which bundle, by names and patterns."""

import time
from fnmatch import fnmatchcase

from hypothesis import given, strategies as st

from service.stream.configuration import MAX_PATTERNS, Active, Configuration

NAMES = st.text("ab-1", max_size=4)
PATTERNS = st.text("ab-1*?[]!", max_size=5)


def configured(*patterns: tuple[str, str]) -> Configuration:
    return Configuration(active={"x": Active("1"), "y": Active("1")}, patterns=patterns)


@given(st.lists(st.tuples(PATTERNS, st.sampled_from("xy")), max_size=6), st.lists(NAMES))
def test_the_first_pattern_that_matches_decides(
    patterns: list[tuple[str, str]], entities: list[str]
) -> None:
    found = configured(*patterns)
    for entity in entities * 2:  # the second time it is remembered
        matches = (name for pattern, name in patterns if fnmatchcase(entity, pattern))
        assert found.assigned(entity) == next(matches, None)


def test_patterns_are_matched_once_per_entity() -> None:
    """As many lookups as a second of points brings, with as many patterns as may be."""
    found = configured(*((f"web-{number}-*", "x") for number in range(MAX_PATTERNS)))
    found.assigned("db-1")
    start = time.perf_counter()
    for _ in range(2_000):
        found.assigned("db-1")
    assert time.perf_counter() - start < 0.2


def test_another_configuration_remembers_nothing_of_this_one() -> None:
    first = configured(("web-*", "x"))
    assert first.assigned("web-1") == "x"
    second = first.patterned((("web-*", "y"),), None)
    assert (first.assigned("web-1"), second.assigned("web-1")) == ("x", "y")
    assert second.with_entities({"web-1": "x"}).assigned("web-1") == "x"
