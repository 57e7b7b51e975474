import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from service.errors import TrainingFailed
from tests.trainer.small import series, tiny
from trainer.epochs import counted
from trainer.fit import fit
from trainer.shuffled import Shuffled
from trainer.windows import Rows


def numbered(*lengths: int) -> list[Rows]:
    """Pieces (time, 1) whose rows count on from piece to piece, after a gap."""
    firsts = np.cumsum([0, *(count + 1000 for count in lengths[:-1])])
    return [
        np.arange(first, first + count, dtype=np.float32)[:, None]
        for first, count in zip(firsts, lengths, strict=True)
    ]


def supply(pieces: list[Rows], *, length: int, stride: int = 1, batch: int = 4) -> Shuffled:
    return Shuffled(pieces, length=length, stride=stride, batch=batch, seed=1)


@given(
    st.lists(st.integers(1, 30), min_size=1, max_size=4),
    st.integers(1, 6),
    st.integers(1, 5),
    st.integers(1, 9),
)
@settings(max_examples=60)
def test_every_window_comes_once_per_epoch_and_none_leaves_its_piece(
    lengths: list[int], length: int, stride: int, batch: int
) -> None:
    pieces = numbered(*lengths)
    expected = [
        float(piece[start, 0])
        for piece in pieces
        for start in range(0, len(piece) - length + 1, stride)
    ]
    if not expected:
        with pytest.raises(TrainingFailed, match="without a break"):
            supply(pieces, length=length)
        return
    windows = supply(pieces, length=length, stride=stride, batch=batch)
    for _ in range(2):
        seen: list[float] = []
        while len(seen) < len(expected):
            chunk = next(windows)
            assert len(chunk) <= batch
            assert bool((chunk[:, :, 0] - chunk[:, :1, 0] == torch.arange(length)).all())
            seen += chunk[:, 0, 0].tolist()
        assert sorted(seen) == expected


def test_another_epoch_has_another_order() -> None:
    windows = supply(numbered(100), length=2, batch=99)
    assert next(windows).tolist() != next(windows).tolist()


@pytest.mark.parametrize(("lesson", "rows_per_update"), [("windows", 13), ("lanes", 8 * 25)])
def test_an_epoch_over_all_rows_has_as_many_updates_as_it_takes(
    lesson: str, rows_per_update: int
) -> None:
    config = tiny("gru_vae", lesson=lesson, epochs=0, batch=13, tbptt_steps=25, epoch_steps=0)
    fitted = fit([series()], config)
    part = fitted.splits[0].fit
    rows = part.stop - part.start
    steps = rows - config.window_length + 1 if lesson == "windows" else rows
    assert fitted.config.epoch_steps == math.ceil(steps / rows_per_update)
    assert counted(fitted.config, [rows]) == fitted.config
