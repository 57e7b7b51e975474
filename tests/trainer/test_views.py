from collections.abc import Mapping

import pytest

from service.scoring.bundle import View
from trainer.config import Config, preset
from trainer.views import DECIDING, RANKING, default_views


def views_of(config: Config, *, train_points: int = 24_000) -> list[View]:
    return default_views(config, dimensions=38, train_points=train_points)


def members(views: list[View], *roles: str) -> set[str]:
    return {view.member for view in views if view.role in roles}


def has_form(view: View, form: Mapping[str, object]) -> bool:
    return all(getattr(view, name) == value for name, value in form.items())


@pytest.mark.parametrize("model", ["blind_spot", "gru_vae", "linear", "pca", "slmr"])
def test_the_default_views_do_what_the_configuration_says(model: str) -> None:
    config = preset("small", model=model)  # type: ignore[arg-type]
    views = views_of(config)
    assert members(views, "score", "both") == set(config.deciding)
    assert members(views, "severity", "both") == set(config.ranking)
    for view in views:
        assert view.role == "severity" or has_form(view, DECIDING[view.member])
        assert view.role == "score" or has_form(view, RANKING[view.member])
        assert view.half_life_points == (6000.0 if view.role == "severity" else 3000.0)
        assert view.top == 5


def test_a_member_has_two_views_only_where_it_ranks_otherwise_than_it_decides() -> None:
    views = views_of(preset("small"))
    roles = sorted((view.member, view.role) for view in views)
    assert roles == [
        ("leave_one_out", "score"),
        ("nearest", "severity"),
        ("network", "severity"),
        ("pca", "score"),
        ("pca", "severity"),
        ("raw", "both"),
    ]


def test_a_member_that_neither_decides_nor_ranks_has_no_view() -> None:
    config = preset("small", members=("raw", "pca", "network"), deciding=("raw",), ranking=("pca",))
    views = views_of(config)
    assert [(view.member, view.role) for view in views] == [("raw", "score"), ("pca", "severity")]


@pytest.mark.parametrize("member", ["raw", "pca", "leave_one_out", "nearest", "network"])
def test_a_member_alone_decides_and_ranks(member: str) -> None:
    views = views_of(preset("small", members=(member,)))
    assert members(views, "score", "both") == members(views, "severity", "both") == {member}


def test_short_series_do_not_make_a_normaliser_forget_sooner() -> None:
    short, longer = (views_of(preset("small"), train_points=points) for points in (100, 16_000))
    assert short == longer
    assert {view.half_life_points for view in short} == {2000.0, 4000.0}


def test_half_lives_are_rounded_so_that_entities_of_about_one_length_agree() -> None:
    ours, theirs = (views_of(preset("small"), train_points=points) for points in (23_694, 23_706))
    assert ours == theirs
