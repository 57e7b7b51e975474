"""Bundles on the page: what they are worth, and putting another version in force."""

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest
from playwright.sync_api import Page, expect

from tests.bad_graphs import BAD_GRAPHS
from tests.builders import another_version, tiny_bundle
from tests.page.conftest import Opened
from tests.page.fleets import fleet, post, rows
from tests.system.processes import ROOT, Service

BUNDLE = "simulated-fleet"
CURRENT = (ROOT / "exported_models" / BUNDLE / "current").read_text().strip()
SHOWN_AS = """(state) => Object.defineProperty(
  document, "visibilityState", { value: state, configurable: true }
)"""
OTHERS = sorted(
    path.name
    for path in (ROOT / "exported_models" / BUNDLE).iterdir()
    if path.is_dir() and path.name != CURRENT
)
PHONE = {"width": 390, "height": 844}
Picture = Callable[[Page, str], None]


def state(site: Service, name: str = BUNDLE) -> dict[str, object]:
    known: dict[str, object] = httpx2.get(f"{site.url}/v1/models/{name}").json()
    return known


def test_bundles_are_listed_with_their_measures_beside_floors(
    opened: Opened, picture: Picture
) -> None:
    for scheme, size in (("light", None), ("dark", None), ("light", PHONE)):
        page = opened("#/models", color_scheme=scheme, **({"viewport": size} if size else {}))
        card = page.get_by_role("article", name=BUNDLE)
        expect(card).to_contain_text("8 entities")
        expect(
            card.get_by_label(re.compile("Ranks odd points first: 0.69, above all"))
        ).to_be_visible()
        expect(page.get_by_role("article")).to_have_count(3)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        picture(page, f"models-{scheme}-{'phone' if size else 'wide'}")
        card.get_by_text("24 dimensions").click()
        expect(card.get_by_text("cache hit ratio")).to_be_visible()


def test_a_bundle_has_an_address_with_all_its_versions(opened: Opened, picture: Picture) -> None:
    for scheme, size in (("light", None), ("dark", None), ("light", PHONE)):
        more = {"viewport": size} if size else {}
        page = opened(f"#/models/{BUNDLE}", color_scheme=scheme, **more)
        expect(page.get_by_role("row")).to_have_count(1 + 1 + len(OTHERS))
        expect(page.get_by_role("row", name=re.compile(CURRENT))).to_contain_text("in force")
        expect(page.get_by_role("row", name=re.compile(OTHERS[0]))).to_contain_text("above")
        expect(page.get_by_role("button", name="Roll back")).to_be_disabled()
        picture(page, f"model-{scheme}-{'phone' if size else 'wide'}")


def test_a_bundle_that_is_not_there_is_a_problem(opened: Opened) -> None:
    page = opened("#/models/nothing", refused=404)
    expect(page.get_by_role("alert")).to_contain_text("expected a bundle of")


def test_a_report_has_an_address_and_its_pictures(opened: Opened, picture: Picture) -> None:
    for scheme in ("light", "dark"):
        page = opened(f"#/models/{BUNDLE}?report={CURRENT}", color_scheme=scheme)
        inside = page.frame_locator("iframe.report")
        expect(inside.get_by_role("heading", name="How good it is")).to_be_visible()
        page.locator("iframe.report").scroll_into_view_if_needed()
        loss = inside.get_by_role("img", name=re.compile("Loss over"))
        assert loss.evaluate("picture => picture.getBoundingClientRect().width") > 100
        cell = inside.get_by_role("columnheader", name="untrained").first
        assert cell.evaluate("cell => getComputedStyle(cell).textAlign") == "right"  # its styles
        picture(page, f"report-{scheme}")
        page.get_by_role("button", name="Close the report").click()
        expect(page.locator("iframe")).to_have_count(0)
        assert "report" not in page.url


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A folder of bundles that may be changed."""
    return tiny_bundle(tmp_path / "bundles")


@pytest.fixture
def site(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Service]:
    """The service; where a test asks for `tiny`, on that folder."""
    is_tiny = "tiny" in request.fixturenames
    folder = request.getfixturevalue("tiny") if is_tiny else ROOT / "exported_models"
    default = "tiny" if is_tiny else BUNDLE
    with Service(folder, tmp_path, default_bundle=default, durability="everysec") as service:
        yield service


def test_a_report_of_markdown_is_shown_with_its_pictures(
    tiny: Path, site: Service, opened: Opened
) -> None:
    version = str(state(site, "tiny")["active"])
    for name in ("report.md", "loss.png"):
        shutil.copy(ROOT / "exported_models" / BUNDLE / CURRENT / name, tiny / "tiny" / version)
    page = opened(f"#/models/tiny?report={version}")
    inside = page.frame_locator("iframe.report")
    expect(inside.get_by_role("heading", name="Detection", exact=True)).to_be_visible()
    page.locator("iframe.report").scroll_into_view_if_needed()
    expect(inside.get_by_alt_text("loss")).to_have_js_property("complete", value=True)
    assert inside.get_by_alt_text("loss").evaluate("picture => picture.naturalWidth") > 100
    cell = inside.get_by_role("columnheader", name="untrained").first
    assert cell.evaluate("cell => getComputedStyle(cell).textAlign") == "right"


HOSTILE = """<!doctype html><html><head><style>h1 { color: rgb(1, 2, 3) }</style>
<script>parent.document.title = "owned"</script></head>
<body onload="parent.document.title = 'owned'"><h1 id="top" style="margin-left: 7px">Mine</h1>
<img src="nothing" onerror="parent.document.title = 'owned'"><a href="#end">To the end</a>
<form action="/v1/points" method="post"><button>Send</button></form>
<iframe srcdoc="<script>top.document.title = 'owned'</script>"></iframe>
<p id="end" style="margin-top: 4000px">End</p></body></html>"""


def test_a_report_can_run_nothing(tiny: Path, site: Service, browser: object) -> None:
    version = str(state(site, "tiny")["active"])
    (tiny / "tiny" / version / "report.html").write_text(HOSTILE)
    page = browser.new_page()  # type: ignore[attr-defined]  # the browser says what it refused
    page.goto(f"{site.url}/#/models/tiny?report={version}")
    inside = page.frame_locator("iframe.report")
    heading = inside.get_by_role("heading", name="Mine")
    expect(heading).to_have_css("color", "rgb(1, 2, 3)")
    expect(heading).to_have_css("margin-left", "7px")
    expect(page).to_have_title("tiny · Gaugewatch")
    inside.get_by_role("link", name="To the end").click()
    expect(inside.get_by_text("End", exact=True)).to_be_in_viewport()
    page.goto(f"{site.url}/v1/models/tiny/{version}/report")
    expect(page.get_by_role("heading", name="Mine")).to_be_visible()
    assert page.evaluate("origin") == "null"
    assert page.title() != "owned"
    page.close()


def test_a_version_without_a_report_says_how_one_is_made(tiny: Path, opened: Opened) -> None:
    version = (tiny / "tiny" / "current").read_text().strip()
    page = opened(f"#/models/tiny?report={version}", refused=404)
    expect(page.get_by_text("gaugewatch-trainer report")).to_be_visible()


def test_a_version_is_activated_and_rolled_back_after_a_question(
    site: Service, opened: Opened, picture: Picture
) -> None:
    page = opened(f"#/models/{BUNDLE}")
    button = page.get_by_role("button", name=f"Activate {OTHERS[0]}")
    button.focus()
    page.keyboard.press("Enter")
    question = page.get_by_role("dialog", name=f"Activate {OTHERS[0]}?")
    expect(question).to_contain_text("Every entity goes over with its next point")
    expect(question.get_by_role("button", name="Cancel")).to_be_focused()
    picture(page, "activate-light")
    page.keyboard.press("Escape")
    expect(question).to_have_count(0)
    expect(button).to_be_focused()
    assert state(site)["active"] == CURRENT
    button.click()
    question.get_by_role("button", name="Activate").click()
    expect(page.get_by_role("status").filter(has_text="is in force")).to_be_visible()
    assert state(site)["active"] == OTHERS[0]
    page.get_by_role("button", name="Roll back").click()
    back = page.get_by_role("dialog", name=f"Roll back to {CURRENT}?")
    expect(back).to_contain_text(OTHERS[0])
    back.get_by_role("button", name="Roll back").click()
    expect(page.get_by_role("row", name=re.compile(CURRENT))).to_contain_text("in force")
    assert state(site)["active"] == CURRENT


def test_a_refusal_says_why(tiny: Path, site: Service, opened: Opened, picture: Picture) -> None:
    bad = another_version(tiny, step=BAD_GRAPHS[0]())
    page = opened("#/models/tiny", refused=422)
    page.get_by_role("button", name=f"Activate {bad}").click()
    page.get_by_role("dialog").get_by_role("button", name="Activate").click()
    expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text(
        f"tiny/{bad} is refused"
    )
    picture(page, "refused-light")
    page.get_by_role("button", name="Cancel").click()
    assert state(site, "tiny")["active"] != bad


def test_a_shadow_is_started_compared_in_words_and_stopped(
    site: Service, opened: Opened, picture: Picture
) -> None:
    page = opened(f"#/models/{BUNDLE}")
    page.get_by_role("button", name=f"Shadow {OTHERS[0]}").click()
    page.get_by_role("dialog").get_by_role("button", name="Start the shadow").click()
    shadow = page.get_by_role("region", name=re.compile("scores silently"))
    expect(shadow).to_contain_text("No point was scored by both yet")
    for machine in fleet(entities=4, points=600):
        post(site, rows(machine, 0, 300))
    shadow.get_by_role("button", name="Compare now").click()
    expect(shadow).to_contain_text("points of 4 entities")
    expect(shadow).to_contain_text("rank correlation")
    expect(shadow).to_contain_text("the shadow would have opened")
    shadow.scroll_into_view_if_needed()
    picture(page, "shadow-light")
    shadow.get_by_role("button", name="Stop the shadow").click()
    page.get_by_role("dialog").get_by_role("button", name="Stop it").click()
    expect(shadow).to_have_count(0)
    assert state(site)["shadow"] is None


def test_a_shadow_is_followed_again_after_the_page_was_hidden(
    site: Service, opened: Opened
) -> None:
    page = opened(f"#/models/{BUNDLE}")
    page.get_by_role("button", name=f"Shadow {OTHERS[0]}").click()
    page.get_by_role("dialog").get_by_role("button", name="Start the shadow").click()
    shadow = page.get_by_role("region", name=re.compile("scores silently"))
    expect(shadow).to_contain_text("No point was scored by both yet")
    page.evaluate(SHOWN_AS, "hidden")
    page.wait_for_timeout(6_000)  # longer than between two questions
    page.evaluate(SHOWN_AS, "visible")
    post(site, rows(fleet(entities=1)[0], 0, 100))
    expect(shadow).to_contain_text("100 points came")


def test_assignments_are_edited_with_a_look_at_what_changes(
    site: Service, opened: Opened, picture: Picture
) -> None:
    page = opened("#/models")
    page.get_by_role("button", name="Edit assignments").click()
    page.get_by_role("button", name="Add a pattern").click()
    page.get_by_role("button", name="Add a pattern").click()
    page.get_by_label("Pattern 1", exact=True).fill("web-*")
    page.get_by_role("button", name="Add an entity").click()
    page.get_by_label("Entity 1", exact=True).fill("db-01")
    page.get_by_label("Bundle of entity 1").select_option("smd-machine-1-6")
    page.get_by_role("button", name="Save …").click()
    expect(page.get_by_text("a pattern is needed")).to_be_visible()
    picture(page, "assignments-fault-light")
    page.get_by_label("Pattern 2", exact=True).fill("web-0?")
    page.get_by_role("button", name="Move pattern 2 up").click()
    page.get_by_role("button", name="Save …").click()
    question = page.get_by_role("dialog", name="Save these assignments?")
    expect(question).to_contain_text("db-01: not assigned → smd-machine-1-6")
    question.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved; every replica follows")).to_be_visible()
    kept = httpx2.get(f"{site.url}/v1/assignments").json()
    assert [one["pattern"] for one in kept["patterns"]] == ["web-0?", "web-*"]
    assert kept["entities"] == {"db-01": "smd-machine-1-6"}
    expect(page.get_by_role("cell", name="web-0?")).to_be_visible()
    page.get_by_role("cell", name="web-0?").scroll_into_view_if_needed()
    picture(page, "assignments-light")


def test_an_entity_by_the_name_of_what_every_object_has_is_assigned_no_more(
    site: Service, opened: Opened
) -> None:
    place = f"{site.url}/v1/assignments"
    httpx2.put(place, json={"entities": {"constructor": BUNDLE}}).raise_for_status()
    page = opened("#/models")
    page.get_by_role("button", name="Edit assignments").click()
    page.get_by_role("button", name="Remove entity 1").click()
    page.get_by_role("button", name="Save …").click()
    question = page.get_by_role("dialog", name="Save these assignments?")
    expect(question).to_contain_text("no longer assigned: constructor")
    question.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved; every replica follows")).to_be_visible()
    assert httpx2.get(place).json()["entities"] == {}


def test_who_was_slower_is_told_and_undoes_nothing(site: Service, opened: Opened) -> None:
    page = opened("#/models", refused=412)
    page.get_by_role("button", name="Edit assignments").click()
    httpx2.put(f"{site.url}/v1/assignments", json={"entities": {"a": BUNDLE}}).raise_for_status()
    page.get_by_role("button", name="Add an entity").click()
    page.get_by_label("Entity 1", exact=True).fill("b")
    page.get_by_role("button", name="Save …").click()
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text("is in force")
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("Somebody changed the configuration")).to_be_visible()
    page.get_by_role("button", name="Show what is in force").click()
    expect(page.get_by_role("cell", name="a", exact=True)).to_be_visible()
    assert httpx2.get(f"{site.url}/v1/assignments").json()["entities"] == {"a": BUNDLE}
