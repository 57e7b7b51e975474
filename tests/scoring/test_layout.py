"""Records whose numbers are aligned and whose bytes are all defined."""

import numpy as np
from hypothesis import given, strategies as st

from service.scoring.layout import aligned

KINDS = ["<f8", "<i8", "<f4", "<u4", "<u2", "u1", "?"]
shapes = st.one_of(st.just(()), st.tuples(st.integers(1, 5)), st.tuples(*[st.integers(1, 3)] * 2))
fields = st.lists(st.tuples(st.sampled_from(KINDS), shapes), min_size=1, max_size=8).map(
    lambda found: [(f"field{i}", kind, shape) for i, (kind, shape) in enumerate(found)]
)


@given(fields)
def test_every_number_lies_at_a_multiple_of_its_size(
    found: list[tuple[str, str, tuple[int, ...]]],
) -> None:
    outer = aligned([("inner", aligned(found)), ("flag", "?"), ("number", "<f8")])
    assert outer.itemsize % 8 == 0
    records = np.zeros(3, outer)
    for name in outer["inner"].names or ():
        field = records["inner"][name]
        start = field.ctypes.data - records.ctypes.data
        assert start % field.itemsize == 0


@given(fields, st.integers(0, 2**32))
def test_a_copy_has_the_same_bytes(
    found: list[tuple[str, str, tuple[int, ...]]], seed: int
) -> None:
    dtype = aligned([*found, ("flag", "?")])
    noise = np.random.default_rng(seed).integers(0, 256, 5 * dtype.itemsize, np.uint8)
    source = np.zeros(5, dtype)
    for name in dtype.names or ():
        source[name] = noise.view(dtype)[name]
    target = noise[::-1].copy().view(dtype)
    target[[3, 1, 0, 4, 2]] = source
    assert target[[3, 1, 0, 4, 2]].tobytes() == source.tobytes()


def test_the_first_of_the_widest_stays_first() -> None:
    assert aligned([("flag", "?"), ("first", "<i8"), ("second", "<f8")]).names == (
        "first",
        "second",
        "flag",
        "filler",
    )
