import json
from io import StringIO
from pathlib import Path

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner, Result

from service.errors import BadInput, SettingInvalid
from tests.trainer.small_bench import BENCH, ROWS, data_folder, do_here, place_of, planned
from trainer.cli_benchmark import command
from trainer.watch import watching

APP = typer.Typer()
APP.command()(command(BENCH))


def ask(*arguments: object) -> Result:
    return CliRunner().invoke(APP, [str(one) for one in arguments])


def test_an_unknown_suite_is_told_with_those_there_are(tmp_path: Path) -> None:
    ran = ask("--data", tmp_path, "--output", tmp_path / "out", "--suites", "smd, swat")
    assert isinstance(ran.exception, SettingInvalid)
    assert ran.exception.detail == "expected suites of smd, injected, came swat"
    assert not (tmp_path / "out").exists()


def test_an_unknown_row_is_told_with_those_there_are(tmp_path: Path) -> None:
    ran = ask("--data", tmp_path, "--output", tmp_path / "out", "--rows", "best")
    assert isinstance(ran.exception, SettingInvalid)
    assert "expected rows of ours, untrained, pca, random, came best" in ran.exception.detail


def test_missing_data_are_told(tmp_path: Path) -> None:
    ran = ask("--data", tmp_path / "none", "--output", tmp_path / "out")
    assert isinstance(ran.exception, BadInput)
    assert str(tmp_path / "none") in ran.exception.detail


@pytest.mark.parametrize("option", ["--seeds", "--jobs"])
def test_no_seeds_and_no_jobs_are_a_usage_error(option: str) -> None:
    assert ask(option, 0).exit_code == 2


def test_there_is_no_report_of_nothing(tmp_path: Path) -> None:
    ran = ask("--output", tmp_path / "none", "--report-only")
    assert isinstance(ran.exception, SettingInvalid)
    assert "found no" in ran.exception.detail
    assert not (tmp_path / "none").exists()
    ran = ask("--output", tmp_path, "--report-only")
    assert isinstance(ran.exception, SettingInvalid)
    assert "no results yet" in ran.exception.detail


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_report_is_of_what_is_there_and_needs_no_data(tmp_path: Path) -> None:
    place = place_of(tmp_path)
    do_here(place, planned(place, "smd"))
    ran = ask("--data", tmp_path / "none", "--output", place.output, "--report-only", "--json")
    assert ran.exit_code == 0
    answer = json.loads(ran.stdout)
    assert answer["failures"] == {}
    assert list(answer["suites"]["smd"]["rows"]) == [row.name for row in ROWS]
    written = {path.name for path in place.output.iterdir() if path.is_file()}
    assert written == {"benchmark.json", "benchmark.md", "entities.csv", "index.html"}


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_run_shows_its_tables_and_where_the_page_is(tmp_path: Path) -> None:
    data = data_folder(tmp_path)
    output = tmp_path / "out"
    chosen = ("--suites", "smd", "--rows", "pca,random", "--jobs", 1)
    ran = ask("--data", data, "--output", output, *chosen)
    assert ran.exit_code == 0, ran.output
    assert "VUS-PR" in ran.stdout
    assert "[2/2" in ran.stderr
    assert ran.stdout.strip().endswith(str(output / "index.html"))


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_failures_are_told_and_give_their_exit_code(tmp_path: Path) -> None:
    data = data_folder(tmp_path)
    (data / "break").write_text("beta")
    chosen = ("--suites", "smd", "--rows", "ours,pca", "--seeds", 1, "--jobs", 1)
    ran = ask("--data", data, "--output", tmp_path / "out", *chosen, "--json")
    assert ran.exit_code == 1
    answer = json.loads(ran.stdout)
    assert list(answer["failures"]) == ["fit smd ours seed 0 beta", "score smd ours seed 0"]
    assert list(answer["suites"]["smd"]["rows"]) == ["pca"]
    assert "error: fit smd ours seed 0 beta: the loss of this one is NaN" in ran.stderr


# ---- rows of another size


def test_a_preset_changes_networks_and_keeps_what_a_row_changed() -> None:
    ours, untrained, pca, _ = (row.resized("base") for row in ROWS)
    assert ours.config is not None
    assert ours.config.preset == "base"
    assert untrained.config is not None
    assert untrained.config.epochs == 0
    assert untrained.config.model_copy(update={"epochs": ours.config.epochs}) == ours.config
    assert pca is ROWS[2]


def test_a_model_without_the_preset_stays_as_it_is() -> None:
    assert ROWS[0].resized("paper") == ROWS[0]


# ---- what is seen


def test_a_file_gets_one_plain_line_per_job() -> None:
    file = StringIO()
    with watching(Console(file=file, force_terminal=False, width=40)) as watch:
        watch.begin(total=2, reused=5)
        watch.started("fit a [b]")
        watch.moved("fit a [b]", "50%")
        watch.ended("fit a [b]", seconds=1.25, error="")
        watch.left(3700.0)
        watch.ended("score a", seconds=0.0, error="lacks 1 of its 4 fits and more than that")
    assert file.getvalue().splitlines() == [
        "2 jobs to do, 5 done before",
        "[1/2] fit a [b]: 1.2 s",
        "[2/2, 1:01:40 left] score a: failed: lacks 1 of its 4 fits and more than that",
    ]


def test_a_terminal_gets_bars_and_keeps_the_failures() -> None:
    file = StringIO()
    with watching(Console(file=file, force_terminal=True, width=120, color_system=None)) as watch:
        watch.begin(total=2, reused=5)
        watch.started("fit a [b]")
        watch.moved("fit a [b]", "50%")
        watch.left(3700.0)
        watch.ended("fit a [b]", seconds=1.0, error="out of luck")
        watch.ended("never started", seconds=1.0, error="")
        watch.left(None)
    text = file.getvalue()
    assert "failed: fit a [b]: out of luck" in text
    assert "5 jobs done before" in text
