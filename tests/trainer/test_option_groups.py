from dataclasses import dataclass
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from trainer.option_groups import grouped


@dataclass(frozen=True)
class Size:
    """A group with an option that is needed and one that is not."""

    height: Annotated[int, typer.Option(min=1, help="In rows.")]
    width: Annotated[int | None, typer.Option("--wide", help="In columns.")] = None


def app_of(heard: list[object]) -> typer.Typer:
    app = typer.Typer()

    @grouped
    def draw(
        name: str, size: Size, is_bold: Annotated[bool, typer.Option("--bold")] = False
    ) -> None:
        """Draw something."""
        heard.append((name, size, is_bold))

    app.command()(draw)
    return app


def test_every_field_of_a_group_is_an_option() -> None:
    heard: list[object] = []
    ran = CliRunner().invoke(app_of(heard), ["house", "--height", "3", "--wide", "4", "--bold"])
    assert ran.exit_code == 0, ran.output
    CliRunner().invoke(app_of(heard), ["house", "--height", "3"])
    assert heard == [("house", Size(3, 4), True), ("house", Size(3, None), False)]


def test_bounds_and_texts_are_those_of_the_fields() -> None:
    heard: list[object] = []
    for words in (["house"], ["house", "--height", "0"]):
        assert CliRunner().invoke(app_of(heard), words).exit_code == 2
    told = CliRunner().invoke(app_of(heard), ["--help"]).output
    assert "Draw something." in told
    assert "In columns." in told
    assert heard == []


def test_two_options_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="duplicate parameter name: 'height'"):

        @grouped
        def draw(size: Size, height: int = 1) -> None: ...
