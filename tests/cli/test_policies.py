"""`gaugewatch policies` against a real server."""

import json
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from service.cli import app
from service.cli.client import Client
from service.cli.policies import muted, parsed, state_of, twice
from service.errors import BadInput, EpochMovedOn
from tests.cli.commands import assert_refused, called
from tests.web.serving import HOME, serving, settings_for

HOUR_MS = 3_600_000


@pytest.fixture(scope="module")
def url(bundle_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(settings_for(bundle_folder, tmp_path_factory.mktemp("data"))) as port:
        yield f"{HOME}:{port}"


@pytest.fixture(autouse=True)
def nothing_said(url: str, tmp_path: Path) -> None:
    put(url, tmp_path, {})


def told(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["policies", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def put(url: str, folder: Path, document: object) -> str:
    file = folder / "policies.json"
    file.write_text(json.dumps(document))
    return told("set", str(file), "--url", url)


def shown(url: str, *arguments: str) -> dict:  # type: ignore[type-arg]
    found: dict[str, object] = json.loads(told("show", *arguments, "--url", url))
    return found


def test_what_is_shown_can_be_set_again(url: str, tmp_path: Path) -> None:
    document = {
        "default": {"open_count": 2, "open_window": 3},
        "patterns": [{"pattern": "db-*", "policy": {"cool_down_seconds": 600.0}}],
        "entities": {"db-1": {"direction": "up"}},
    }
    assert "default, 1 patterns, 1 entities" in put(url, tmp_path, document)
    assert shown(url) == document
    put(url, tmp_path, {})
    assert shown(url) == {}
    put(url, tmp_path, document)
    assert shown(url) == document


def test_what_holds_of_an_entity_is_shown_with_who_says_it(url: str, tmp_path: Path) -> None:
    windows = [
        {"start_ms": 0, "end_ms": HOUR_MS, "every_seconds": 604_800},
        {"start_ms": 0, "end_ms": 1_000},
    ]
    dimensions = {"a": {"direction": "up"}, "zz": {}}
    own = {"maintenance": windows, "dimensions": dimensions, "muted_until_ms": HOUR_MS}
    patterns = [{"pattern": "db-*", "policy": {"resolve_after": 7}}]
    put(url, tmp_path, {"patterns": patterns, "entities": {"db-1": own}})
    text = told("show", "--entity", "db-1", "--url", url)
    lines = {cells[0]: cells[1:] for cells in map(cells_of, text.splitlines()) if cells}
    assert lines["resolve_after"] == ["7", "pattern db-*"]
    assert lines["open_count"] == ["1", "-"]
    assert lines["dimensions.a.direction"] == ["up", "entity"]
    assert lines["muted_until_ms"] == ["1970-01-01 01:00:00 UTC", "entity"]
    assert lines["alert_while_calibrating"] == ["no", "-"]
    assert "scored by tiny" in text
    assert "not of that bundle: zz" in text
    found = shown(url, "--entity", "db-1", "--json")
    assert found["sources"]["maintenance[1]"] == "entity"


def cells_of(line: str) -> list[str]:
    return [cell.strip() for cell in line.split("│")[1:-1]]


def test_an_entity_is_muted_and_unmuted_and_keeps_what_else_is_said(
    url: str, tmp_path: Path
) -> None:
    put(url, tmp_path, {"entities": {"db/1": {"open_count": 2}}})
    until_ms = 1000 * time.time() + 2 * HOUR_MS
    assert "db/1 is muted until" in told("mute", "db/1", "--for", "2h", "--url", url)
    own = shown(url, "--entity", "db/1", "--json")["own"]
    assert own["open_count"] == 2
    assert own["muted_until_ms"] == pytest.approx(until_ms, abs=60_000)
    assert "not muted" in told("unmute", "db/1", "--url", url)
    assert shown(url) == {"entities": {"db/1": {"open_count": 2}}}
    told("mute", "db-2", "--for", "90s", "--url", url)
    told("unmute", "db-2", "--url", url)
    assert shown(url) == {"entities": {"db/1": {"open_count": 2}}}  # nothing is left of db-2


def test_a_problem_of_the_service_is_said_once(
    url: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = tmp_path / "policies.json"
    for content, code in (("{", "bad_body"), ('{"default": {"open_count": 40}}', "bad_input")):
        file.write_text(content)
        ended = called(capsys, monkeypatch, "policies", "set", str(file), "--url", url)
        assert_refused(ended, 2, f"error ({code}): ")
        assert ended.err.count(code) == 1


def test_a_mute_undoes_nothing_that_somebody_says_in_between(url: str, tmp_path: Path) -> None:
    with Client(url) as client:
        read = [state_of(client, "db-1")]
        put(url, tmp_path, {"entities": {"db-1": {"open_count": 2}}})
        with pytest.raises(EpochMovedOn, match="expected epoch") as refused:
            muted(client, read[0], HOUR_MS)
        assert refused.value.code == "epoch_moved_on"
        state = twice(
            lambda: muted(client, read.pop() if read else state_of(client, "db-1"), HOUR_MS)
        )
    assert state.own is not None
    assert (state.own.open_count, state.own.muted_until_ms) == (2, HOUR_MS)


def test_a_document_is_set_under_the_epoch_it_was_shown_with(url: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["policies", "show", "--url", url])
    epoch = result.stderr.removeprefix("epoch ").strip()
    file = tmp_path / "edited.json"
    file.write_text(json.dumps({"default": {"open_count": 2}}))
    told("set", str(file), "--epoch", epoch, "--url", url)
    file.write_text(json.dumps({"default": {"open_count": 3}}))
    with pytest.raises(EpochMovedOn, match=f"expected epoch {epoch}, "):
        told("set", str(file), "--epoch", epoch, "--url", url)
    assert shown(url) == {"default": {"open_count": 2}}


def test_unmute_overrules_a_pattern(url: str, tmp_path: Path) -> None:
    muted = {"muted_until_ms": int(1000 * time.time()) + HOUR_MS}
    put(url, tmp_path, {"patterns": [{"pattern": "*", "policy": muted}]})
    told("unmute", "db-1", "--url", url)
    assert shown(url, "--entity", "db-1", "--json")["policy"]["muted_until_ms"] == 0


def test_a_bad_document_is_refused_with_its_place(url: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"\$\.default\.budget: expected a number .*, came -1"):
        put(url, tmp_path, {"default": {"budget": -1}})


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("30m", 1_800), ("2h", 7_200), ("3d", 259_200)]
)
def test_durations_are_read(text: str, seconds: int) -> None:
    assert parsed(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text", ["", "2", "h", "0h", "-2h", "2 h", "1.5h", "9999d", "2w", "\u0662h"]
)
def test_other_durations_are_refused(text: str) -> None:
    with pytest.raises(BadInput, match="--for"):
        parsed(text)
