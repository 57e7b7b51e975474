"""The promise of alarms on the page: promised, observed, and with which labels."""

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest
from playwright.sync_api import Page, expect

from tests.page.conftest import Opened
from tests.page.fleets import fleet, post, rows
from tests.page.test_models import PHONE
from tests.system.processes import ROOT, Service

Picture = Callable[[Page, str], None]
DAY_SECONDS = 86_400


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Service]:
    """Keeps incidents for eight days: of the last seven it knows all, of the last thirty not."""
    settings = {"default_bundle": "simulated-fleet", "incident_ttl_seconds": 8 * DAY_SECONDS}
    with Service(ROOT / "exported_models", tmp_path, durability="everysec", **settings) as service:
        yield service


def filled(site: Service, *, entities: int = 8) -> None:
    """Ten hours of machines, up to now, with two faults each."""
    for machine in fleet(entities=entities, points=600):
        for start in (0, 300):
            post(site, rows(machine, start, start + 300))


def incidents(site: Service) -> list[str]:
    page = httpx2.get(f"{site.url}/v1/incidents", params={"limit": 200}).json()
    return [one["incident"] for one in page["incidents"]]


def label(site: Service, incident: str, said: str) -> None:
    note = httpx2.put(f"{site.url}/v1/incidents/{incident}/note", json={"label": said})
    note.raise_for_status()


def test_without_points_it_says_what_to_do(opened: Opened, picture: Picture) -> None:
    page = opened("#/promise")
    expect(page.get_by_text("No point was scored in the last 7 days")).to_be_visible()
    expect(page.get_by_text("gaugewatch demo")).to_be_visible()
    picture(page, "promise-empty-light")


def test_a_model_is_told_plainly_and_labels_move_its_interval(
    site: Service, opened: Opened, picture: Picture
) -> None:
    filled(site)
    names = incidents(site)
    assert len(names) >= 4
    page = opened("#/promise")
    model = page.get_by_role("article")
    expect(model).to_have_count(1)
    expect(model).to_contain_text(f"{len(names)} of {len(names)} incidents are not labelled yet")
    picture(page, "promise-unlabelled-light")
    label(site, names[0], "false")
    label(site, names[1], "new_normal")
    for name in names[3:]:
        label(site, name, "true")
    page.reload()
    expect(model).to_contain_text(f"1 of {len(names)} incidents is not labelled yet")
    expect(model.get_by_role("img", name="false incidents per entity and day")).to_be_visible()
    link = model.get_by_role("link", name="Label 1 incident")
    assert link.get_attribute("href") == "#/fleet?label=none"
    for scheme, size in (("light", None), ("dark", None), ("light", PHONE)):
        more = {"viewport": size} if size else {}
        page = opened("#/promise?days=7", color_scheme=scheme, **more)
        expect(page.get_by_role("article")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        picture(page, f"promise-{scheme}-{'phone' if size else 'wide'}")


def test_the_days_are_in_the_address_and_what_is_not_kept_is_told(
    site: Service, opened: Opened, picture: Picture
) -> None:
    filled(site, entities=2)
    page = opened("#/promise")
    expect(page.get_by_text("in the last 7 days")).to_be_visible()
    expect(page.get_by_text("Incidents of these days may be missing")).to_have_count(0)
    page.get_by_role("button", name="90 days").click()
    expect(page.get_by_text("in the last 90 days")).to_be_visible()
    assert page.url.endswith("?days=90")
    expect(page.get_by_text("Incidents of these days may be missing")).to_be_visible()
    picture(page, "promise-incomplete-light")
