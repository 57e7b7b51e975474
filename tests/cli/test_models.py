"""`gaugewatch models` against a real server and real bundles."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from service.cli import app
from service.errors import BadInput, BundleInvalid
from tests.bad_graphs import endless_work, not_finite
from tests.builders import another_version
from tests.web.serving import HOME, serving, settings_for


@pytest.fixture
def folder(tmp_path: Path, bundle_folder: Path) -> Path:
    shutil.copytree(bundle_folder / "tiny", tmp_path / "bundles" / "tiny")
    return tmp_path / "bundles"


@pytest.fixture
def url(folder: Path, tmp_path: Path) -> Iterator[str]:
    with serving(settings_for(folder, tmp_path / "data")) as port:
        yield f"{HOME}:{port}"


def told(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["models", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_a_version_is_checked_activated_and_rolled_back(url: str, folder: Path) -> None:
    new = another_version(folder)
    (state,) = json.loads(told("list", "--url", url, "--json"))
    assert f"tiny/{new} can be put in force" in told("check", str(folder / "tiny" / new))
    assert f"tiny/{new} is active" in told("activate", "tiny", new, "--url", url)
    assert new in told("list", "--url", url)
    assert f"tiny/{state['active']} is active" in told("rollback", "tiny", "--url", url)
    with pytest.raises(BadInput, match="no version"):
        told("activate", "tiny", "nothing", "--url", url)


def test_a_bad_candidate_is_refused_with_its_reason(folder: Path) -> None:
    bad = another_version(folder, step=not_finite())
    with pytest.raises(BundleInvalid, match="finite"):
        told("check", str(folder / "tiny" / bad))


@pytest.mark.slow
def test_a_candidate_that_works_for_ever_is_ended(folder: Path) -> None:
    bad = another_version(folder, step=endless_work())
    with pytest.raises(BundleInvalid, match="8 s of a processor"):
        told("check", str(folder / "tiny" / bad))


def test_a_shadow_starts_reports_and_ends(url: str, folder: Path) -> None:
    new = another_version(folder)
    assert new in told("shadow", "tiny", new, "--url", url)
    assert "0 of 0 points" in told("shadow", "tiny", "--url", url)
    assert json.loads(told("shadow", "tiny", "--url", url, "--json"))["shadow"] == f"tiny/{new}"
    assert "nothing scores silently" in told("shadow", "tiny", "--end", "--url", url)


def test_a_difference_names_what_differs_and_nothing_else(folder: Path) -> None:
    new = another_version(folder, default_budget=7.0)
    old = str(folder / "tiny")
    told_apart = told("diff", old, str(folder / "tiny" / new))
    assert "default_budget" in told_apart
    assert "seed=1" in told_apart
    assert "dimensions" not in told_apart
    assert "nothing" in told("diff", old, old)
