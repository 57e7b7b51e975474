"""Small labelled cases: written out, or drawn by hypothesis."""

import numpy as np
from hypothesis import strategies as st

from trainer.measures.events import BoolArray, FloatArray

Case = tuple[BoolArray, FloatArray]


def labels(text: str) -> BoolArray:
    """`..##.`: a label of five points with one event."""
    return np.array([character == "#" for character in text])


@st.composite
def labelled_scores(draw: st.DrawFn) -> Case:
    """A label with at least one event, and scores with many ties."""
    length = draw(st.integers(1, 40))
    label = draw(st.lists(st.booleans(), min_size=length, max_size=length).filter(any))
    score = draw(st.lists(st.integers(-3, 8), min_size=length, max_size=length))
    return np.array(label), np.array(score, float)
