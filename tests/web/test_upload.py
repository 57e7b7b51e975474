"""A bundle that comes with a series: opened and used in a process of its own, then gone."""

import io
import os
import socket
import struct
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from starlette.testclient import TestClient

from service.settings import Settings
from service.web import upload
from service.web.app import create_app
from tests.bad_graphs import BAD_GRAPHS
from tests.builders import another_version, series_like, tiny_bundle
from tests.web.serving import HOME, raw_exchange, serving, settings_for
from tests.web.test_detect import COUNT, JSON, PACKED, as_csv, as_json, faulty, post
from tests.web.test_detect_pieces import packed, piece

pytestmark = pytest.mark.slow  # a process starts for each upload
Files = dict[str, bytes]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where uploads are unpacked during these tests."""
    place = tmp_path_factory.mktemp("place")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(place))
        yield place


@pytest.fixture(scope="module")
def client(
    bundle_folder: Path, place: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TestClient]:
    settings = settings_for(
        bundle_folder,
        tmp_path_factory.mktemp("data"),
        max_detect_points=400,
        max_upload_bytes=2_000_000,
        false_alarm_budget=7.0,
    )
    with TestClient(create_app(settings), base_url=HOME) as client:
        yield client
        assert list(place.iterdir()) == []  # whatever a test did


def files_of(root: Path) -> Files:
    [manifest] = (root / "tiny").glob("*/bundle.json")
    return {path.name: path.read_bytes() for path in manifest.parent.iterdir()}


@pytest.fixture(scope="module")
def files(bundle_folder: Path) -> Files:
    return files_of(bundle_folder)


def zipped(files: Files, folder: str = "", method: int = zipfile.ZIP_DEFLATED) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(folder + name, data)
    return content.getvalue()


def refusal(client: TestClient, **more: object) -> str:
    """The reason for which an upload is refused."""
    answer = post(client, packed(faulty(20), **more), PACKED)
    assert (answer.status_code, answer.json()["code"]) == (422, "bundle_refused"), answer.text
    assert "gaugewatch-upload" not in answer.text
    detail: str = answer.json()["detail"]
    return detail


def test_an_uploaded_bundle_says_what_the_same_says_from_the_folder(
    client: TestClient, files: Files, place: Path
) -> None:
    series = faulty()
    wishes: list[tuple[dict[str, str], dict[str, str]]] = [
        ({}, {"entity": "alpha"}),
        ({}, {"percentile": "3"}),
        ({"accept": "text/csv"}, {"budget": "40", "contributions": "all"}),
    ]
    for headers, parameters in wishes:
        expected = post(client, as_json(series), {**JSON, **headers}, **parameters)
        body = packed(series, bundle=files)
        answer = post(client, body, {**PACKED, **headers}, **parameters)
        assert answer.status_code == 200, answer.text
        assert answer.content == expected.content
        assert answer.headers["content-type"] == expected.headers["content-type"]
        assert list(place.iterdir()) == []
    text = msgspec.msgpack.encode({"csv": as_csv(series), "bundle_zip": zipped(files)})
    assert post(client, text, PACKED).content == post(client, as_json(series)).content


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_a_folder_may_come_as_a_zip_with_more_beside_it(
    client: TestClient, files: Files, method: int
) -> None:
    expected = post(client, as_json(faulty())).content
    more = {**files, "report.html": b"<html>", "__MACOSX/._bundle.json": b"x", "../../evil": b"x"}
    for content in (zipped(files, "", method), zipped(more, "tiny/0123/", method)):
        answer = post(client, packed(faulty(), bundle_zip=content), PACKED)
        assert answer.content == expected, answer.text
    named = {f"tiny/0123/{name}": data for name, data in more.items()}
    assert post(client, packed(faulty(), bundle=named), PACKED).content == expected


def test_pieces_bring_their_bundle_again(client: TestClient, files: Files) -> None:
    series, alpha = faulty(), {"entity": "alpha"}
    whole = post(client, as_json(series), **alpha).json()
    rows: list[Any] = []
    states: list[str] = []
    for start, end in ((0, 52), (52, 101), (101, COUNT)):
        more = {"bundle": files} if start else {"bundle_zip": zipped(files)}
        carried = {"state": states[-1]} if states else {}
        body = packed(piece(series, start, end), **more, **carried)
        answer = post(client, body, PACKED, state="return", **alpha).json()
        rows += answer["rows"]
        states.append(answer["state"])
    assert rows == whole["rows"]
    for body, what in (
        (packed(piece(series, 52, 60), state=states[0]), "origin of the bundle"),
        (packed(piece(series, 52, 60), bundle=files, state=states[0] + "AAAA"), "changed"),
    ):
        problem = post(client, body, PACKED, **alpha).json()
        assert problem["code"] == "bad_input"
        assert what in problem["detail"]
    ours = post(client, as_json(piece(series, 0, 52)), state="return", **alpha).json()["state"]
    problem = post(client, packed(piece(series, 52, 60), bundle=files, state=ours), PACKED, **alpha)
    assert "origin of the bundle" in problem.json()["detail"]


def test_a_series_that_does_not_fit_the_bundle_is_explained(
    client: TestClient, files: Files
) -> None:
    for more, status, code in (
        ({"dimensions": ["a", "b", "c", "x"]}, 422, "bad_series"),
        ({"dimensions": ["a", "a", "c", "x"]}, 400, "bad_body"),
        ({"label": b"\2" * 20}, 422, "bad_series"),
        ({"timestamp_ms": bytes(160)}, 422, "bad_series"),
    ):
        answer = post(client, packed(faulty(20), bundle=files, **more), PACKED)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
    answer = post(client, packed(series_like("a", 401), bundle=files), PACKED)
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    [fault] = post(client, packed(faulty(20), bundle=files, label=b"\2" * 20), PACKED).json()[
        "errors"
    ]
    assert fault["path"] == "$.label[0]"


def test_one_bundle_is_chosen_in_one_way(client: TestClient, files: Files) -> None:
    answer = post(client, packed(faulty(20), bundle=files), PACKED, bundle="tiny")
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_input")
    both = packed(faulty(20), bundle=files, bundle_zip=zipped(files))
    assert post(client, both, PACKED).json()["code"] == "bad_body"
    many = packed(faulty(20), bundle={f"file-{number}": b"" for number in range(65)})
    assert post(client, many, PACKED).json()["code"] == "bad_body"


@pytest.mark.parametrize("graph", BAD_GRAPHS, ids=lambda graph: graph.__name__)
def test_a_bad_graph_is_refused_and_nothing_is_left_of_it(
    client: TestClient, tmp_path: Path, place: Path, graph: Callable[[], bytes]
) -> None:
    root = tiny_bundle(tmp_path)
    version = another_version(root, step=graph())
    folder = root / "tiny" / version
    bad = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert refusal(client, bundle_zip=zipped(bad))
    assert list(place.iterdir()) == []
    assert post(client, as_json(faulty(20))).status_code == 200


def lying_zip(files: Files) -> bytes:
    """Its step graph says that it is 100 bytes long, and is a million."""
    content = bytearray(zipped({**files, "step.onnx": bytes(1_000_000)}))
    for signature, at in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        start = content.find(b"step.onnx")
        while start >= 0:
            head = content.rfind(signature, 0, start)
            if head >= 0 and start - head < 60:
                content[head + at : head + at + 4] = struct.pack("<I", 100)
            start = content.find(b"step.onnx", start + 1)
    return bytes(content)


def encrypted_zip(files: Files) -> bytes:
    content = bytearray(zipped(files))
    for signature, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = content.find(signature)
        while start >= 0:
            content[start + at] |= 1
            start = content.find(signature, start + 4)
    return bytes(content)


BAD_UPLOADS: dict[str, tuple[Callable[[Files], dict[str, object]], str]] = {
    "no files": (lambda files: {"bundle": {}}, "expected one bundle.json, came 0"),
    "no zip": (lambda files: {"bundle_zip": b"PK\x05\x06"}, "expected a zip"),
    "half a zip": (lambda files: {"bundle_zip": zipped(files)[1_000:]}, "expected a zip"),
    "damaged": (
        lambda files: {"bundle_zip": zipped(files, "", 0).replace(b'"tiny"', b'"tinY"')},
        "expected a zip",
    ),
    "a password": (lambda files: {"bundle_zip": encrypted_zip(files)}, "expected a zip"),
    "a lie about its length": (lambda files: {"bundle_zip": lying_zip(files)}, "expected a zip"),
    "two manifests": (
        lambda files: {"bundle": {**files, "x/bundle.json": b"{}"}},
        "expected one bundle.json, came 2",
    ),
    "no JSON": (lambda files: {"bundle": {**files, "bundle.json": b"\xff"}}, "breaks the contract"),
    "another form": (
        lambda files: {"bundle": {**files, "bundle.json": b'{"<b>": 1}'}},
        "breaks the contract",
    ),
    "a graph too few": (
        lambda files: {"bundle": {n: d for n, d in files.items() if n != "window.onnx"}},
        "window.onnx did not come",
    ),
    "changed": (
        lambda files: {"bundle": {**files, "step.onnx": files["window.onnx"]}},
        "was changed",
    ),
    "another version": (
        lambda files: {"bundle": {**files, "bundle.json": _with(files, version="0123456789ab")}},
        "its content has digest",
    ),
    "no version": (
        lambda files: {"bundle": {**files, "bundle.json": _with(files, version="../..")}},
        "its content has digest",
    ),
    "a name that leads away": (
        lambda files: {"bundle": {**files, "bundle.json": _with(files, name="../../evil")}},
        "breaks the contract at name",
    ),
    "a file that leads away": (
        lambda files: {
            "bundle": {
                **files,
                "bundle.json": _with(files, step={"file": "../x", "sha256": "0" * 64}),
                "../x": b"",
            }
        },
        "breaks the contract at step.file",
    ),
    "a name without end": (
        lambda files: {"bundle": {**files, "bundle.json": _with(files, name="a" * 5_000)}},
        "it cannot be run: OSError",
    ),
    "a bomb": (
        lambda files: {"bundle_zip": zipped({**files, "step.onnx": bytes(10**8)})},
        "expected at most 2000000 bytes",
    ),
    "a bomb of a manifest": (
        lambda files: {"bundle_zip": zipped({**files, "bundle.json": b" " * 10**8})},
        "expected at most 2000000 bytes",
    ),
    "files without end": (
        lambda files: {"bundle_zip": zipped({**files, **{f"f{i}": b"" for i in range(2_000)}})},
        "expected at most 1000 files",
    ),
}


def _with(files: Files, **changes: object) -> bytes:
    return msgspec.json.encode({**msgspec.json.decode(files["bundle.json"]), **changes})


@pytest.mark.parametrize("name", BAD_UPLOADS)
def test_what_is_no_bundle_is_refused_with_the_reason(
    client: TestClient, files: Files, place: Path, name: str
) -> None:
    make, words = BAD_UPLOADS[name]
    detail = refusal(client, **make(files))
    assert words in detail
    assert "<b>" not in detail
    assert list(place.iterdir()) == []


def test_a_bundle_that_takes_too_long_is_ended(
    bundle_folder: Path, tmp_path: Path, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_for(bundle_folder, tmp_path, upload_seconds=0.3)
    series = series_like("alpha", 20_000)
    with TestClient(create_app(settings), base_url=HOME) as client:
        answer = post(client, packed(series, bundle=files), PACKED)
        assert (answer.status_code, answer.json()["code"]) == (422, "bundle_refused")
        assert answer.json()["detail"] == "not scored within 0.3 s"
        monkeypatch.setattr(upload, "OPEN_SECONDS", 0.01)
        assert "not opened and tried" in refusal(client, bundle=files)
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
        assert "no folder" in refusal(client, bundle=files)


def test_a_client_that_goes_ends_the_process_of_its_bundle(
    bundle_folder: Path, tmp_path: Path, place: Path, files: Files
) -> None:
    body = packed(series_like("alpha", 50_000), bundle=files)
    head = "POST /v1/detect HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/msgpack\r\n"
    whole = f"{head}Connection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    with serving(settings_for(bundle_folder, tmp_path)) as port:
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            connection.sendall(whole)
            while not list(place.glob("*/tiny")):
                time.sleep(0.02)
        deadline = time.monotonic() + 10
        while list(place.iterdir()):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        small = packed(faulty(20), bundle=files)
        ask = f"{head}Connection: close\r\nContent-Length: {len(small)}\r\n\r\n".encode() + small
        assert raw_exchange(port, ask)[9:12] == b"200"
    assert children() == []


def children() -> list[str]:
    """Processes of ours that still serve an upload."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words, stat = path.read_bytes(), (path.parent / "stat").read_text()
        except OSError:
            continue
        is_ours = int(stat.rpartition(")")[2].split()[1]) == os.getpid()
        if is_ours and b"upload_child" in words:
            found.append(path.parent.name)
    return found


def test_uploads_can_be_turned_off(bundle_folder: Path, tmp_path: Path, files: Files) -> None:
    settings = settings_for(bundle_folder, tmp_path, detect_uploads=False)
    with TestClient(create_app(settings), base_url=HOME) as client:
        assert "detect_uploads" in refusal(client, bundle=files)
        assert post(client, packed(faulty(20)), PACKED).status_code == 200


@pytest.mark.parametrize(
    ("chosen", "takes"),
    [
        ({}, True),
        ({"detect_uploads": ""}, True),
        ({"detect_uploads": "false"}, False),
        ({"host": "0.0.0.0"}, False),
        ({"host": "0.0.0.0", "detect_uploads": "true"}, True),
    ],
)
def test_uploads_are_taken_at_home_unless_somebody_says_otherwise(
    chosen: dict[str, Any], takes: bool
) -> None:
    assert Settings(api_keys=("a-key-of-length-16",), **chosen).takes_uploads == takes
