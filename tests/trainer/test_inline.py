import re

import numpy as np
import pytest

from trainer.pictures.ink import MODEL, TRUE, panels
from trainer.pictures.inline import path_of, svg


def points_of(path: str) -> list[tuple[float, float]]:
    """Places that a path of steps goes through."""
    places, at = [], (0.0, 0.0)
    for command, text in re.findall("([Mlz])([^Mlz]*)", path):
        values = [float(one) for one in re.findall(r"-?(?:\d+(?:\.\d)?|\.\d)", text)]
        for x, y in zip(values[::2], values[1::2], strict=True):
            at = (x, y) if command == "M" else (at[0] + x, at[1] + y)
            places.append(at)
    return places


def test_a_path_of_steps_goes_through_the_same_places() -> None:
    given = np.random.default_rng(0).normal(scale=40, size=(500, 2))
    lines = [f"{'L' if row else 'M'} {x:.6f} {y:.6f}" for row, (x, y) in enumerate(given)]
    made = path_of("\n".join(lines) + "\n")
    np.testing.assert_allclose(points_of(made), given, atol=0.0501)
    assert len(made) < 0.75 * sum(len(f"{x:.1f} {y:.1f} L ") for x, y in given)


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ("M 0 0 L 1 0 L 2 0 L 3 0 L 3 5 z", "M0 0l3 0 0 5z"),
        ("M 0 0 L 2 0 L 1 0", "M0 0l2 0-1 0"),  # there and back is no straight line
        ("M 1.04 1 L 1.06 1.55 L 0.51 0.98", "M1 1l.1.6-.6-.6"),
        ("M 0 1 L 0 1", "M0 1l0 0"),
        ("M 0 0 L 1 1 M 5 5 L 6 5.55", "M0 0l1 1M5 5l1 .6"),
        ("M 0.123 1.5 \nC 0.5625 1 2 2 3 3 z", "M 0.1 1.5 C 0.6 1 2 2 3 3 z"),
        ("", ""),
    ],
)
def test_a_path_is_said_in_few_words(given: str, made: str) -> None:
    assert path_of(given) == made


def test_a_picture_has_the_fonts_and_colours_of_its_page() -> None:
    (axes,) = panels(1, height=2.0)
    axes.plot([0, 1, 2], [0, 3, 1], "o-", color=TRUE, label="one")
    axes.hlines([1, 2], 0, 2, color=MODEL)
    text = svg(axes, "p", "Two lines & a path.")
    assert "font-family" not in text
    assert "var(--true)" in text
    assert "var(--model)" in text  # lines of a collection have no path with a stroke of its own
    assert not re.search("#[0-9a-f]{6}", text)
    assert 'aria-label="Two lines &amp; a path."' in text


def test_names_of_dimensions_are_left_as_they_are() -> None:
    (axes,) = panels(1, height=2.0)
    hostile = 'id="a" d="M -- 1" x="1.2345" <g> </g> font-family: b; #070809'
    axes.set_xlabel(hostile)
    escaped = hostile.replace("<", "&lt;").replace(">", "&gt;")
    assert f">{escaped}<" in svg(axes, "p", "A name.")
