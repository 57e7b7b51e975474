"""A start that cannot work says why in one line, and its exit code is not 0."""

import json
import socket
from pathlib import Path

import pytest

from tests.cli.commands import Finished, assert_refused, called, started
from tests.system.processes import Service


def refused_start(ended: Finished, code: str, *words: str) -> None:
    """The log is JSON lines, of which one says what is wrong; there is no traceback."""
    assert ended.code not in (0, 2), ended
    assert "Traceback" not in ended.err + ended.out
    lines = [json.loads(line) for line in ended.err.splitlines()]
    [refusal] = [line for line in lines if line["event"] == "start refused"]
    assert (refusal["level"], refusal["code"]) == ("error", code)
    for word in words:
        assert word in refusal["detail"]


@pytest.mark.slow
def test_a_folder_without_bundles_stops_the_start(tmp_path: Path) -> None:
    ended = started("serve", "--port", "0", "--bundles", str(tmp_path))
    refused_start(ended, "unknown_bundle", str(tmp_path))


@pytest.mark.slow
def test_an_unknown_default_bundle_stops_the_start(bundle_folder: Path) -> None:
    words = ("--port", "0", "--bundles", str(bundle_folder))
    ended = started("serve", *words, default_bundle="other")
    refused_start(ended, "unknown_bundle", "'other'", "tiny")


@pytest.mark.slow
def test_a_damaged_bundle_stops_the_start(bundle_folder: Path, tmp_path: Path) -> None:
    [version] = (path.name for path in (bundle_folder / "tiny").iterdir() if path.is_dir())
    copy = tmp_path / "tiny" / version
    copy.mkdir(parents=True)
    (tmp_path / "tiny" / "current").write_text(version)
    for file in (bundle_folder / "tiny" / version).iterdir():
        (copy / file.name).write_bytes(file.read_bytes()[:-1])
    words = ("--port", "0", "--bundles", str(tmp_path), "--data-directory", str(tmp_path / "d"))
    refused_start(started("serve", *words, default_bundle="tiny"), "bundle_invalid")


@pytest.mark.slow
def test_a_redis_that_is_not_there_stops_the_start(bundle_folder: Path) -> None:
    words = ("--port", "0", "--bundles", str(bundle_folder), "--redis-url", "redis://127.0.0.1:1")
    refused_start(started("serve", *words, default_bundle="tiny"), "store_unavailable")


@pytest.mark.slow
def test_data_that_cannot_be_kept_stop_the_start(bundle_folder: Path, tmp_path: Path) -> None:
    """A file where the folder should be: not an error of our tree, but it may not be silent."""
    (tmp_path / "file").write_text("")
    words = ("--port", "0", "--bundles", str(bundle_folder))
    ended = started(
        "serve", *words, "--data-directory", str(tmp_path / "file"), default_bundle="tiny"
    )
    assert ended.code not in (0, 2), ended
    assert str(tmp_path / "file") in ended.err


@pytest.mark.slow
def test_data_that_another_service_keeps_stop_the_start(
    bundle_folder: Path, tmp_path: Path
) -> None:
    with Service(bundle_folder, tmp_path):
        words = ("--bundles", str(bundle_folder), "--data-directory", str(tmp_path / "data"))
        ended = started("serve", "--port", "0", *words, default_bundle="tiny")
    refused_start(ended, "store_misconfigured", "another process")


@pytest.mark.slow
def test_a_port_that_is_taken_stops_the_start(bundle_folder: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        words = ("--bundles", str(bundle_folder), "--data-directory", str(tmp_path))
        ended = started("serve", "--port", port, *words, default_bundle="tiny")
    assert ended.code not in (0, 2), ended
    assert "address already in use" in ended.err
    assert "Traceback" not in ended.err


def test_an_address_that_others_reach_needs_a_key(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GAUGEWATCH_API_KEYS", raising=False)
    ended = called(capsys, monkeypatch, "serve", "--host", "0.0.0.0")
    assert_refused(ended, 1, "setting_invalid", "GAUGEWATCH_API_KEYS", "0.0.0.0")


def test_a_setting_that_is_none_is_named_with_what_was_meant(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GAUGEWATCH_REDIS_URI", "redis://x")
    ended = called(capsys, monkeypatch, "serve")
    assert_refused(ended, 1, "setting_invalid", "GAUGEWATCH_REDIS_URI", "GAUGEWATCH_REDIS_URL")


def test_a_value_that_cannot_be_is_named_by_its_setting(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = called(capsys, monkeypatch, "serve", "--durability", "never")
    assert_refused(ended, 1, "setting_invalid", "GAUGEWATCH_DURABILITY", "always")
