"""What every view stands in: the frame, its files, and their policy."""

import hashlib
from collections.abc import Iterator

import httpx2
import pytest
from playwright.sync_api import expect

from service.web import page as files
from tests.page.conftest import Opened, shipped
from tests.system.processes import Service

VENDOR = files.FOLDER / "vendor"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with shipped(tmp_path_factory.mktemp("site")) as service:
        yield service


def test_vendored_files_are_those_that_were_checked() -> None:
    lines = (VENDOR / "SHA256SUMS").read_text().splitlines()
    listed = {name: digest for digest, name in (line.split("  ") for line in lines)}
    there = {path.name for path in VENDOR.iterdir() if path.suffix in (".js", ".mjs", ".css")}
    assert there == set(listed)
    for name, digest in listed.items():
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == digest


def test_every_vendored_library_has_its_licence() -> None:
    libraries = {"htm", "preact", "uplot", "swagger-ui"}
    assert {path.stem for path in (VENDOR / "licences").iterdir()} == libraries


def test_the_policy_lets_nothing_inline_run_and_nobody_else_in(site: Service) -> None:
    for path in ("/", "/docs"):
        answer = httpx2.get(site.url + path)
        policy = answer.headers["content-security-policy"]
        assert "unsafe" not in policy
        assert "default-src 'none'" in policy
        assert "http" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_file_that_the_browser_has_is_not_sent_again(site: Service) -> None:
    first = httpx2.get(f"{site.url}/static/page.js")
    again = httpx2.get(
        f"{site.url}/static/page.js", headers={"if-none-match": first.headers["etag"]}
    )
    assert (first.status_code, again.status_code, again.content) == (200, 304, b"")


def test_no_path_leads_out_of_the_folder(site: Service) -> None:
    for path in ("/static/../page.py", "/static/%2e%2e/page.py", "/static//etc/passwd"):
        assert httpx2.get(site.url + path).status_code == 404


def test_the_frame_opens_and_every_view_has_an_address(opened: Opened) -> None:
    page = opened()
    expect(page.get_by_role("navigation")).to_contain_text("Alarm promise")
    expect(page.get_by_role("status").first).to_contain_text("live")


def test_a_time_that_lasted_long_is_told_in_two_units(opened: Opened) -> None:
    told = opened().evaluate(
        """async (minutes) => {
          const { span } = await import("/static/lib/format.js");
          return minutes.map((one) => span(60_000 * one));
        }""",
        [1, 89, 99, 120, 35 * 60, 51 * 60],
    )
    assert told == ["60 s", "89 min", "1 h 39 min", "2 h", "35 h", "2 d 3 h"]


def test_the_api_is_shown_by_vendored_files(opened: Opened) -> None:
    page = opened("docs")
    expect(page.get_by_text("/v1/points").first).to_be_visible()
    page.get_by_role("link", name="Gaugewatch").click()
    expect(page.get_by_role("navigation")).to_contain_text("Fleet")
