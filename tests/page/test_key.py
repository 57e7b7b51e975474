"""The key: asked for where the service wants one, kept in this tab, and said to be wrong."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.page.conftest import Opened
from tests.system.processes import ROOT, Service

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
KEY = "a-key-of-this-test-0123456789"
LEAST_PIXELS = 150  # of a field in which somebody is to write


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    settings = {"default_bundle": "simulated-fleet", "api_keys": KEY, "durability": "everysec"}
    with Service(ROOT / "exported_models", tmp_path_factory.mktemp("site"), **settings) as service:
        yield service


def test_a_key_is_asked_for_and_opens_the_page(opened: Opened) -> None:
    page = opened("#/models", refused=401, is_away=True)
    field = page.get_by_label("Key", exact=True)
    expect(field).to_be_focused()
    box = field.bounding_box()
    assert box
    assert box["width"] > LEAST_PIXELS
    form = page.locator("form")
    assert (form.bounding_box() or {"width": 0})["width"] > box["width"]
    field.fill("another-key-0123456789")
    field.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("not known here")
    field.fill(KEY)
    field.press("Enter")
    expect(page.get_by_role("heading", name="simulated-fleet")).to_be_visible()
    expect(page.get_by_role("status").first).to_contain_text("live")


def test_what_can_be_no_key_is_said_and_another_may_be_entered(opened: Opened) -> None:
    page = opened("#/models", refused=401, is_away=True)
    field = page.get_by_label("Key", exact=True)
    for strange in (f"Bearer {KEY}", "schl\u00fcssel\u2192", "a/b="):
        field.fill(strange)
        field.press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("A key has letters")
    field.fill(KEY)
    field.press("Enter")
    expect(page.get_by_role("heading", name="simulated-fleet")).to_be_visible()
