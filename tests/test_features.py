"""The table of features names only what there is: flags, commands and knobs."""

import re

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from service.cli import app as service_cli
from tests.test_docs import ROOT
from trainer.cli import app as trainer_cli
from trainer.config import CONFIGS, Config
from trainer.knobs import NetworkConfig

PAGE = (ROOT / "docs" / "features.md").read_text("utf-8")
SECTIONS = {"Data sets and inputs": 10, "Training": 20, "Scores and thresholds": 13}
HERE = 2  # column of what does it here


def rows(title: str) -> list[list[str]]:
    text = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert text, f"there is no section {title}"
    lines = re.findall(r"^\|(.*)\|$", text[1], re.MULTILINE)[2:]
    return [[cell.strip() for cell in line.split("|")] for line in lines]


TITLES = re.findall(r"^## (.*)$", PAGE, re.MULTILINE)
CELLS = [row[HERE] for title in TITLES for row in rows(title)]
NAMED = [name for cell in CELLS for name in re.findall(r"`([^`]+)`", cell)]


def flags_of(app: object, command: str) -> set[str]:
    found = get_command(app)  # type: ignore[arg-type]
    assert isinstance(found, TyperGroup)
    parameters = found.commands[command].params
    return {flag for one in parameters for flag in (*one.opts, *one.secondary_opts)}


def test_every_row_has_all_its_columns() -> None:
    for title in TITLES:
        assert {len(row) for row in rows(title)} == {4}, title
    assert all(len(rows(title)) >= count for title, count in SECTIONS.items())


def test_every_row_is_answered_or_says_why_not() -> None:
    assert [row[0] for title in TITLES for row in rows(title) if not (row[2] or row[3])] == []


@pytest.mark.parametrize("name", sorted({one for one in NAMED if re.match(r"\w+\.\w+$", one)}))
def test_every_knob_exists(name: str) -> None:
    model, knob = name.split(".")
    if knob in {"json", "onnx"}:
        return  # a file
    kinds: list[type[Config]] = [CONFIGS[model]] if model != "any" else [NetworkConfig]
    assert all(knob in kind.model_fields for kind in kinds) or _is_of_every_network(model, knob)


def _is_of_every_network(model: str, knob: str) -> bool:
    networks = [kind for kind in CONFIGS.values() if issubclass(kind, NetworkConfig)]
    return model == "any" and all(knob in kind.model_fields for kind in networks)


@pytest.mark.parametrize("name", sorted({one for one in NAMED if one.startswith("--")}))
def test_every_bare_flag_is_one_of_fit(name: str) -> None:
    assert name in flags_of(trainer_cli, "fit")


@pytest.mark.parametrize("name", sorted({one for one in NAMED if one.startswith("gaugewatch")}))
def test_every_command_exists_with_its_flags(name: str) -> None:
    program, command, *flags = name.split()
    app = trainer_cli if program == "gaugewatch-trainer" else service_cli
    assert set(flags) <= flags_of(app, command)


def test_models_and_ways_to_a_threshold_exist() -> None:
    known = {"pot", "spot", "dspot", "epsilon", "best-f1", "fixed:1", "quantile:0.01"}
    known |= CONFIGS.keys() | {"expected", "contribution", "history.json", "window.onnx"}
    plain = {one for one in NAMED if not re.match(r"--|gaugewatch|\w+\.\w+$", one)}
    assert plain <= known
