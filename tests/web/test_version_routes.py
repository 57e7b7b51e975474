"""Versions in the folder, and their reports: pages that can run nothing and load nothing."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from service.web.app import create_app
from service.web.report_page import report_page
from tests.builders import another_version
from tests.web.serving import HOME, settings_for

ONE_PIXEL = b"\x89PNG\r\n\x1a\n"
REPORT = """\
# tiny <b>1</b>

`raw` sees *less*.

| measure | bundle |
| --- | ---: |
| events & found | 0.5 |

- one
- two

![loss of "tiny"](loss.png)

![elsewhere](../secret.png)
"""


@pytest.fixture
def folder(tmp_path: Path, bundle_folder: Path) -> Path:
    shutil.copytree(bundle_folder / "tiny", tmp_path / "bundles" / "tiny")
    return tmp_path / "bundles"


@pytest.fixture
def client(folder: Path, tmp_path: Path) -> Iterator[TestClient]:
    with TestClient(create_app(settings_for(folder, tmp_path / "data")), base_url=HOME) as client:
        yield client


def active_of(client: TestClient) -> str:
    version: str = client.get("/v1/models/tiny").json()["active"]
    return version


def test_a_version_is_told_whether_or_not_it_is_in_force(client: TestClient, folder: Path) -> None:
    other = another_version(folder)
    told = client.get(f"/v1/models/tiny/{other}").json()
    [active] = client.get("/v1/models").json()
    assert (told["version"], told["is_default"]) == (other, True)
    assert client.get(f"/v1/models/tiny/{active['version']}").json() == active


@pytest.mark.parametrize("path", ["tiny/nothing", "huge/1", "tiny/%2e%2e", "tiny/a%2fb"])
def test_a_version_that_is_not_in_the_folder_is_a_problem(client: TestClient, path: str) -> None:
    for end in ("", "/report"):
        assert client.get(f"/v1/models/{path}{end}").status_code in (404, 405)


def test_a_version_without_a_report_says_so(client: TestClient) -> None:
    answer = client.get(f"/v1/models/tiny/{active_of(client)}/report")
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_report")


def test_a_report_is_a_page_that_can_run_nothing(client: TestClient, folder: Path) -> None:
    version = active_of(client)
    (folder / "tiny" / version / "report.md").write_text(REPORT)
    (folder / "tiny" / version / "report.html").write_text("<script>alert(1)</script>")
    answer = client.get(f"/v1/models/tiny/{version}/report")
    assert answer.text == "<script>alert(1)</script>"
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("sandbox; default-src 'none';")
    assert "script" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_report_in_markdown_has_its_pictures_inside(client: TestClient, folder: Path) -> None:
    version = active_of(client)
    (folder / "tiny" / version / "report.md").write_text(REPORT)
    (folder / "tiny" / version / "loss.png").write_bytes(ONE_PIXEL)
    page = client.get(f"/v1/models/tiny/{version}/report").text
    assert "<h1>tiny &lt;b&gt;1&lt;/b&gt;</h1>" in page
    assert "<code>raw</code> sees <em>less</em>." in page
    assert '<tr><th scope="col">measure</th><th scope="col">bundle</th></tr>' in page
    assert "<td>events &amp; found</td><td>0.5</td>" in page
    assert "<ul><li>one</li><li>two</li></ul>" in page
    assert '<img alt="loss of &quot;tiny&quot;" src="data:image/png;base64,' in page
    assert "<p>![elsewhere](../secret.png)</p>" in page


def test_a_link_is_no_report(client: TestClient, folder: Path, tmp_path: Path) -> None:
    version = active_of(client)
    (tmp_path / "secret").write_text("secret")
    (folder / "tiny" / version / "report.html").symlink_to(tmp_path / "secret")
    assert client.get(f"/v1/models/tiny/{version}/report").status_code == 404


def test_a_picture_that_is_gone_is_told() -> None:
    page = report_page("![loss](loss.png)", picture=lambda _: None)
    assert "loss: the picture is not in the folder." in page
