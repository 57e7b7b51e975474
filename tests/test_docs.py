"""Documents are code too: what they name exists, and what exists they name."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient
from typer.core import TyperGroup
from typer.main import get_command

from benchmarks import figures
from service.cli import app as service_cli
from service.errors import GaugewatchError
from service.settings import Settings
from service.web.app import create_app
from tests.web.serving import HOME, settings_for
from tests.web.test_points import rows
from trainer.cli import app as trainer_cli

ROOT = Path(__file__).parent.parent
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
TEXTS = {str(page.relative_to(ROOT)): page.read_text("utf-8") for page in PAGES}
ALL_TEXT = "\n".join(TEXTS.values())
FOGGY = re.compile(
    r"(?<!\")outlier|lookback|notification|blazing|seamless|leverag|cutting-edge|"
    r"state-of-the-art|world-class|powerful|simply|/tmp/|/home/|/root/",
    re.IGNORECASE,
)


def group(app: object) -> TyperGroup:
    found = get_command(app)  # type: ignore[arg-type]
    assert isinstance(found, TyperGroup)
    return found


GROUPS = {"gaugewatch": group(service_cli), "gaugewatch-trainer": group(trainer_cli)}


def section(page: str, title: str) -> str:
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", TEXTS[page], re.MULTILINE | re.DOTALL)
    assert found, f"{page} has no section {title}"
    return found[1]


def table(text: str) -> dict[str, list[str]]:
    """First cell, a name in backticks, -> the other cells."""
    lines = re.findall(r"^\| `([a-z_]+)` \|(.*)\|$", text, re.MULTILINE)
    assert len({name for name, _ in lines}) == len(lines)
    return {name: [cell.strip() for cell in cells.split(" | ")] for name, cells in lines}


def error_classes(root: type[GaugewatchError] = GaugewatchError) -> Iterator[type[GaugewatchError]]:
    yield root
    for child in root.__subclasses__():
        yield from error_classes(child)


def codes_of_points() -> set[str]:
    """Codes that are given to single points, as the code spells them."""
    spelled = re.compile(r"\"code\": \"(\w+)\"|reason=\"(\w+)\"|\"(?:rejected|late)\", \"(\w+)\"")
    sources = "\n".join(path.read_text("utf-8") for path in (ROOT / "service").rglob("*.py"))
    return {code for found in spelled.findall(sources) for code in found if code}


def commands(text: str) -> Iterator[list[str]]:
    """Words of every command of ours in the code blocks of a page."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    fenced = "\n".join(block for language, block in blocks if language in ("", "sh"))
    indented = "\n".join(re.findall(r"^ {4}(\S.*)$", text, re.MULTILINE))
    for line in f"{fenced}\n{indented}".replace("\\\n", " ").splitlines():
        if re.match(r"([A-Z_]+=\S+ )*gaugewatch(-trainer)? ", line):
            words = shlex.split(line.partition(" > ")[0], comments=True)
            yield [word for word in words if not re.match(r"[A-Z_]+=", word)]


def slugs(text: str) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_setting_has_its_row_and_its_default() -> None:
    documented = table(section("docs/operations.md", "Settings"))
    assert documented.keys() == Settings.model_fields.keys()
    for name, field in Settings.model_fields.items():
        default = Path("exported_models") if name == "bundles" else field.default
        is_number = isinstance(default, int | float)
        expected = f"{default:.15g}" if is_number else f"`{default}`" if default else "empty"
        assert documented[name][0] == expected, name


def test_every_error_code_is_documented() -> None:
    known = {error.code for error in error_classes()}
    named = set(re.findall(r"`([a-z_]+)`", section("docs/api.md", "Problems")))
    assert known <= named
    rows_of_codes = re.findall(r"^\| `([a-z_]+)` \| \d+ \|", TEXTS["docs/api.md"], re.MULTILINE)
    assert set(rows_of_codes) <= known


def test_every_code_of_a_single_point_is_documented() -> None:
    codes = codes_of_points()
    assert {"bad_entity", "older_than_newest", "value_out_of_range"} <= codes
    assert codes <= set(re.findall(r"`([a-z_]+)`", TEXTS["docs/api.md"]))


def test_metrics_and_their_labels_are_documented(bundle_folder: Path, tmp_path: Path) -> None:
    with TestClient(create_app(settings_for(bundle_folder, tmp_path)), base_url=HOME) as client:
        points = rows("alpha", 40)
        points[-1]["values"][2] += 50.0  # an incident has causes
        client.post("/v1/points", json={"points": points})
        page = client.get("/metrics").text
    found = {}
    for family in text_string_to_metric_families(page):
        labels = {name for sample in family.samples for name in sample.labels} - {"le"}
        name = f"{family.name}_total" if family.type == "counter" else family.name
        if name.startswith("gaugewatch_"):
            found[name] = (family.type, labels)
    documented = table(section("docs/operations.md", "Metrics"))
    told = {
        name: (kind, set(re.findall(r"`(\w+)`", labels)))
        for name, (kind, labels, *_) in documented.items()
    }
    assert told == found


@pytest.mark.parametrize("program", GROUPS)
def test_every_command_is_mentioned(program: str) -> None:
    for name in GROUPS[program].commands:
        assert re.search(rf"{program} {name}\b", ALL_TEXT), f"{program} {name}"


@pytest.mark.parametrize("page", TEXTS)
def test_commands_in_code_blocks_can_be_parsed(page: str) -> None:
    for program, name, *arguments in commands(TEXTS[page]):
        GROUPS[program].commands[name].make_context(name, arguments)


def test_the_tour_has_commands() -> None:
    shown = {(program, name) for program, name, *_ in commands(TEXTS["README.md"])}
    assert len(shown) >= 6


@pytest.mark.parametrize("page", TEXTS)
def test_commands_in_the_text_exist(page: str) -> None:
    for program, name, rest in re.findall(
        r"`(gaugewatch(?:-trainer)?) ([a-z]+)([^`|]*)`", TEXTS[page]
    ):
        known = {flag for one in GROUPS[program].commands[name].params for flag in one.opts}
        assert set(re.findall(r"--[a-z-]+", rest)) <= known


@pytest.mark.parametrize("page", TEXTS)
def test_make_targets_in_the_text_exist(page: str) -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    named = re.findall(r"(?:`|^ {4})make ([a-z-]+)", TEXTS[page], re.MULTILINE)
    assert set(named) <= set(targets)


def test_every_option_of_fit_has_its_row() -> None:
    options = {
        flag
        for one in GROUPS["gaugewatch-trainer"].commands["fit"].params
        for flag in (*one.opts, *one.secondary_opts)
    }
    named = set(re.findall(r"`(-{1,2}[a-z-]+)`", TEXTS["docs/training.md"]))
    assert options - {"--no-per-entity", "--no-untrained"} <= named


@pytest.mark.parametrize("page", TEXTS)
def test_links_lead_somewhere(page: str) -> None:
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]+))?\)", TEXTS[page]):
        if target.startswith("https://"):
            continue
        path = (ROOT / page).parent / target if target else ROOT / page
        assert path.exists(), target
        assert not anchor or anchor in slugs(path.read_text("utf-8")), f"{target}#{anchor}"


@pytest.mark.parametrize("page", TEXTS)
def test_words_are_plain(page: str) -> None:
    assert not FOGGY.findall(TEXTS[page])


@pytest.mark.parametrize("page", TEXTS)
def test_every_place_for_figures_is_closed(page: str) -> None:
    opened = re.findall(r"<!-- figures:[\w-]+ -->", TEXTS[page])
    assert len(opened) == TEXTS[page].count("<!-- /figures -->")


@pytest.mark.parametrize("page", figures.PAGES, ids=str)
def test_the_figures_are_those_of_the_committed_results(page: Path) -> None:
    text = (ROOT / page).read_text()
    assert figures.filled(text) == text, "run python -m benchmarks.figures"


def test_the_versions_named_are_those_that_are_shipped() -> None:
    shipped = {
        current.parent.name: current.read_text("utf-8").strip()
        for current in (ROOT / "exported_models").glob("*/current")
    }
    pages = "\n".join(TEXTS[page] for page in ("README.md", "docs/api.md", "docs/explaining.md"))
    named = [
        (name, version)
        for name, version in re.findall(r"\b([a-z][\w.-]*)/([0-9a-f]{12})\b", pages)
        if name in shipped
    ]
    assert named
    assert all(shipped[name] == version for name, version in named)
    found = json.loads((ROOT / "benchmarks/results/explaining.json").read_text("utf-8"))
    models = dict(machine["model"].split("/") for machine in found["machines"])
    assert models
    assert models.items() <= shipped.items()
