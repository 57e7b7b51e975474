"""A series in several requests: each goes on where the one before ended."""

import base64
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import example, given, settings as hypothesis_settings, strategies as st
from starlette.testclient import TestClient

from service.scoring.series import Series
from service.web.app import create_app
from service.web.detect_state import Seals
from tests.builders import DIMENSIONS, another_version, series_like
from tests.web.serving import HOME, settings_for
from tests.web.test_detect import COUNT, CSV, JSON, PACKED, as_csv, as_json, faulty, post


@pytest.fixture(scope="module")
def folder(bundle_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`tiny` in two versions."""
    folder = tmp_path_factory.mktemp("bundles")
    shutil.copytree(bundle_folder / "tiny", folder / "tiny")
    return folder


@pytest.fixture(scope="module")
def other_version(folder: Path) -> str:
    return another_version(folder)


@pytest.fixture(scope="module")
def client(
    folder: Path, other_version: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TestClient]:
    settings = settings_for(folder, tmp_path_factory.mktemp("data"), max_detect_points=400)
    with TestClient(create_app(settings), base_url=HOME) as client:
        yield client


def piece(series: Series, start: int, end: int) -> Series:
    at = slice(start, end)
    label = None if series.label is None else series.label[at]
    stamps = series.timestamps_ms[at]
    return replace(series, timestamps_ms=stamps, values=series.values[at], label=label)


def packed(series: Series, kind: str = "<f8", /, **more: object) -> bytes:
    document = {
        "values": series.values.astype(kind).tobytes(),
        "timestamp_ms": series.timestamps_ms.astype("<i8").tobytes(),
        "dimensions": series.dimensions,
        **({} if series.label is None else {"label": series.label.astype(np.uint8).tobytes()}),
        **more,
    }
    return msgspec.msgpack.encode(document)


def in_pieces(
    client: TestClient, series: Series, cuts: Sequence[int], **parameters: str
) -> list[dict[str, Any]]:
    """Answers to all pieces, by turns in JSON and in MessagePack; the last asks for no state."""
    answers: list[dict[str, Any]] = []
    carried: dict[str, Any] = {}
    for number, (start, end) in enumerate(pairwise([0, *cuts, COUNT])):
        part = piece(series, start, end)
        body = as_json(part, **carried) if number % 2 else packed(part, **carried)
        wanted = {} if end == COUNT else {"state": "return"}
        answer = post(client, body, JSON if number % 2 else PACKED, **parameters, **wanted)
        assert answer.status_code == 200, answer.text
        answers.append(answer.json())
        carried = {"state": answers[-1].get("state")}
    return answers


@hypothesis_settings(max_examples=25, deadline=None)
@given(
    cuts=st.lists(st.integers(1, COUNT - 1), unique=True, max_size=5).map(sorted),
    budget=st.sampled_from([{}, {"budget": "50"}]),
)
@example(cuts=[52, 55, 101], budget={})
def test_any_cut_says_what_the_whole_says(
    client: TestClient, cuts: list[int], budget: dict[str, str]
) -> None:
    series = faulty()
    whole = post(client, as_json(series), entity="alpha", **budget).json()
    answers = in_pieces(client, series, cuts, entity="alpha", **budget)
    assert [row for answer in answers for row in answer["rows"]] == whole["rows"]
    assert [answer["offset"] for answer in answers] == [0, *cuts]
    assert sum(answer["anomalies"] for answer in answers) == whole["anomalies"] > 0
    incidents = {one["opened_ms"]: one for answer in answers for one in answer["incidents"]}
    assert list(incidents.values()) == whole["incidents"]
    assert "state" not in whole
    assert "state" not in answers[-1]


def test_an_incident_that_is_open_comes_again_with_the_next_piece(client: TestClient) -> None:
    first, second = in_pieces(client, faulty(), [52], entity="alpha")
    [before] = [one for one in first["incidents"] if one["ended_ms"] is None]
    after = second["incidents"][0]
    assert (before["row"], before["opened_ms"]) == (after["row"], after["opened_ms"])
    assert before["row"] < 52
    assert after["ending"] == "resolved"


def test_times_that_are_left_out_go_on(client: TestClient) -> None:
    rows = [[None if v != v else v for v in row] for row in faulty().values.tolist()]
    whole = post(client, json.dumps({"values": rows}).encode()).json()["rows"]
    first = post(client, json.dumps({"values": rows[:50]}).encode(), state="return").json()
    body = {"values": rows[50:], "state": first["state"]}
    assert first["rows"] + post(client, json.dumps(body).encode()).json()["rows"] == whole
    text = b"\n".join(b"%r,%r,%r,%r" % tuple(row) for row in faulty().values[50:].tolist())
    text = b"a,b,c,d\n" + text.replace(b"nan", b"") + b"\n"
    more = post(client, msgspec.msgpack.encode({"csv": text, "state": first["state"]}), PACKED)
    assert first["rows"] + more.json()["rows"] == whole


def test_packed_columns_say_what_json_says(client: TestClient) -> None:
    series = faulty()
    series = replace(series, values=series.values.astype(np.float32).astype(np.float64))
    expected = post(client, as_json(series)).content
    lists = {"timestamp_ms": series.timestamps_ms.tolist()}
    assert series.label is not None
    for body in (
        packed(series),
        packed(series, "<f4"),
        packed(series, "<f4", **lists, label=series.label.tolist()),
        packed(series, entity=None, faults=[{"kind": "spike"}]),
        msgspec.msgpack.encode({"csv": as_csv(series)}),
    ):
        answer = post(client, body, PACKED)
        assert answer.status_code == 200, answer.text
        assert answer.content == expected
    chosen = {"values": series.values.astype("<f4").tobytes()}
    untimed = post(client, msgspec.msgpack.encode(chosen), PACKED).json()
    assert untimed["rows"][1]["timestamp_ms"] == 60_000
    reordered = {"values": series.values[:, ::-1].tobytes(), "dimensions": [*"dcba"]}
    reordered |= lists
    answer = post(client, msgspec.msgpack.encode(reordered | {"label": bytes(COUNT)}), PACKED)
    assert answer.json()["rows"] == json.loads(expected)["rows"]


BAD_PACKED = {
    "no MessagePack": (b"\xc1", 400, "not MessagePack"),
    "nothing": ({}, 400, "expected `values`"),
    "both": ({"csv": b"a", "values": b""}, 400, "expected `values`"),
    "columns beside CSV": ({"csv": b"a", "label": b""}, 400, "expected `values`"),
    "no points": ({"values": b""}, 400, "float32"),
    "half a value": ({"values": bytes(18)}, 400, "came 18 bytes"),
    "points and times": ({"values": bytes(48), "timestamp_ms": [1, 2]}, 400, "each of 2 points"),
    "half a time": ({"values": bytes(16), "timestamp_ms": bytes(7)}, 400, "8 bytes each"),
    "time goes back": ({"values": bytes(32), "timestamp_ms": [2, 1]}, 422, "$.timestamp_ms[1]"),
    "labels": ({"values": bytes(32), "label": b"\0"}, 400, "as many of `label`"),
    "bad label": ({"values": bytes(32), "label": b"\0\2"}, 422, "$.label[1]"),
    "infinity": ({"values": np.full(4, np.inf).tobytes(), "timestamp_ms": [1]}, 422, "point 0"),
    "too many": ({"values": bytes(401 * 16)}, 413, "at most 400 points"),
    "far too many": ({"values": bytes(1000 * 16)}, 413, "at most 400 points"),
    "too much CSV": ({"csv": b"a,b,c,d\n" + b"1,2,3,4\n" * 4_000}, 413, "at most 400 points"),
    "lists": ({"values": [[1, 2, 3, 4]]}, 400, "$.values"),
    "unknown field": ({"values": bytes(16), "<b>": 1}, 400, "unknown field"),
    "another entity": ({"values": bytes(16), "entity": "<b>"}, 422, "same `entity`"),
    "bad CSV": ({"csv": b"a,b,c,d\n1,2,3,<b>\n"}, 422, "row 2, column d"),
}


@pytest.mark.parametrize("name", BAD_PACKED)
def test_a_bad_packed_body_is_explained(client: TestClient, name: str) -> None:
    content, status, words = BAD_PACKED[name]
    body = content if isinstance(content, bytes) else msgspec.msgpack.encode(content)
    answer = post(client, body, PACKED)
    assert answer.status_code == status, answer.text
    assert words in answer.json()["detail"]
    assert "<b>" not in answer.text


def state_of(client: TestClient, **parameters: str) -> str:
    answer = post(client, as_json(faulty(20)), state="return", **parameters)
    state: str = answer.json()["state"]
    return state


def refusal(client: TestClient, state: object, **parameters: str) -> tuple[int, str, str]:
    later = series_like("alpha", 5, start=20)
    problem = post(client, as_json(later, state=state), **parameters).json()
    return problem["status"], problem["code"], problem["detail"]


def test_a_state_of_something_else_is_refused(client: TestClient, other_version: str) -> None:
    alpha = {"entity": "alpha"}
    state = state_of(client, **alpha)
    assert post(client, as_json(series_like("a", 5, start=20), state=state), **alpha).is_success
    for what, parameters in (
        ("entity", {"entity": "beta"}),
        ("entity", {}),
        ("budget", {**alpha, "budget": "3"}),
        ("version of the bundle", {**alpha, "bundle": f"tiny/{other_version}"}),
    ):
        status, code, detail = refusal(client, state, **parameters)
        assert (status, code) == (422, "bad_input")
        assert f"another {what}" in detail
    for wish in ({"percentile": "1"}, {**alpha, "percentile": "1"}):
        assert "whole series" in refusal(client, state, **wish)[2]


def test_a_state_that_was_changed_or_made_elsewhere_is_refused(client: TestClient) -> None:
    state = state_of(client)
    whole = base64.urlsafe_b64decode(state)
    changed = [
        base64.urlsafe_b64encode(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]).decode()
        for at in (0, 31, 32, 40, len(whole) // 2, len(whole) - 1)
    ]
    content = msgspec.msgpack.decode(whole[32:])
    forged = base64.urlsafe_b64encode(Seals(bytes(32))._seal(whole[32:]) + whole[32:]).decode()
    assert content[0][2] == ""
    for bad in (
        *changed,
        forged,
        "",
        "x",
        "\u00e9",
        "=",
        state[:-4],
        state + "AAAA",
        "A" * 100_000,
    ):
        status, code, detail = refusal(client, bad)
        assert (status, code) == (422, "bad_input")
        assert "expected a `state`" in detail
    for odd in (None, 1, ["x"], {"x": 1}):
        assert refusal(client, odd)[:2] == (400, "bad_body")


def test_a_sealed_state_of_another_release_is_refused(client: TestClient) -> None:
    seals: Seals = client.app.state.services.seals  # type: ignore[attr-defined]
    content = msgspec.msgpack.decode(base64.urlsafe_b64decode(state_of(client))[32:])
    for changed in (
        [[*content[0][:4], "gaugewatch.series/0"], content[1]],
        [content[0], "text"],
        ["another form"],
    ):
        other = msgspec.msgpack.encode(changed)
        sealed = base64.urlsafe_b64encode(seals._seal(other) + other).decode()
        status, code, detail = refusal(client, sealed)
        assert (status, code) == (422, "bad_input")
        assert "another release" in detail
    short = msgspec.msgpack.encode([content[0], content[1][:-1]])
    sealed = base64.urlsafe_b64encode(seals._seal(short) + short).decode()
    assert refusal(client, sealed)[:2] == (422, "bad_series")


def test_a_piece_is_later_than_the_one_before(client: TestClient) -> None:
    state = state_of(client)
    answer = post(client, as_json(faulty(20), state=state))
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_series")
    assert "the piece before" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("parameters", "headers", "words"),
    [
        ({"state": "keep"}, JSON, "expected `return`"),
        ({"state": ""}, JSON, "expected `return`"),
        ({"state": "return", "percentile": "1"}, JSON, "whole series"),
        ({"state": "return"}, {**JSON, "accept": "text/csv"}, "in JSON"),
    ],
)
def test_a_state_is_not_always_to_be_had(
    client: TestClient, parameters: dict[str, str], headers: dict[str, str], words: str
) -> None:
    answer = post(client, as_json(faulty(20)), headers, **parameters)
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_input")
    assert words in answer.json()["detail"]


def test_a_first_piece_may_be_csv(client: TestClient) -> None:
    series = faulty()
    whole = post(client, as_json(series)).json()["rows"]
    first = post(client, as_csv(piece(series, 0, 70)), CSV, state="return").json()
    rest = post(client, as_json(piece(series, 70, COUNT), state=first["state"])).json()
    assert first["rows"] + rest["rows"] == whole
    assert set(first["dimensions"]) == set(DIMENSIONS)


def test_times_before_1970_are_times(client: TestClient) -> None:
    text = b"time,a,b,c,d\n1969-12-31,1,2,3,4\n1970-01-02,1,2,3,4\n"
    first = post(client, text, CSV, state="return").json()
    assert first["rows"][0]["timestamp_ms"] == -86_400_000
    later = {"timestamp_ms": [86_400_001], "values": [[1, 2, 3, 4]], "state": first["state"]}
    assert post(client, json.dumps(later).encode()).json()["offset"] == 2
