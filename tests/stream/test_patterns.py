"""What patterns say of entities, and how much of it is remembered."""

from fnmatch import fnmatchcase

from hypothesis import given, strategies as st

from service.stream.patterns import matcher, remembering


@given(st.text("ab-1*?[]!", max_size=5), st.text("ab-1*?[]!\n", max_size=4))
def test_a_matcher_says_what_fnmatch_says(pattern: str, name: str) -> None:
    assert (matcher(pattern)(name) is not None) == fnmatchcase(name, pattern)


def test_an_answer_is_asked_for_once_and_the_oldest_are_forgotten() -> None:
    asked = list[str]()

    def answer(entity: str) -> str:
        asked.append(entity)
        return entity.upper()

    of = remembering(answer, at_most=2)
    assert [of(entity) for entity in "aabab"] == list("AABAB")
    assert asked == ["a", "b"]
    assert [of(entity) for entity in "cba"] == list("CBA")
    assert asked == ["a", "b", "c", "a"]
