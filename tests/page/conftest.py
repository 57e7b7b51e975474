"""A real browser in front of a real service on the shipped bundles, and what no view may do."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from tests.programs import program
from tests.system.processes import ROOT, Service

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SIZE = {"width": 1360, "height": 850}
PICTURES = Path(os.environ.get("PAGE_PICTURES", ROOT / "build" / "page"))
PATIENCE_MS = 30_000  # for a loaded machine
expect.set_options(timeout=PATIENCE_MS)

Opened = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Of a module: while it is open, Playwright's loop runs, and nobody else can run one."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program("chromium"), args=ARGUMENTS, timeout=2 * PATIENCE_MS
        )
        yield browser
        browser.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Service]:
    """The service with the shipped bundles, empty."""
    with shipped(tmp_path) as service:
        yield service


def shipped(folder: Path) -> Service:
    """For tests that leave nothing behind: they may share one, as a `site` of their module."""
    settings = {"default_bundle": "simulated-fleet", "durability": "everysec"}
    return Service(ROOT / "exported_models", folder, **settings)


@pytest.fixture
def opened(browser: Browser, site: Service) -> Iterator[Opened]:
    """Open an address of the page, `opened("#/fleet")`, in a browser that knows nothing of us.

    At the end no view may have written to the console or asked another host. What a test provokes
    it names: `refused=422` lets the browser say that an answer was a 422, `is_away=True` that the
    service could not be reached.
    """
    faults: list[str] = []
    contexts = []

    def open_page(
        address: str = "", *, refused: int = 0, is_away: bool = False, **context: Any
    ) -> Page:
        made = browser.new_context(viewport=context.pop("viewport", SIZE), **context)
        contexts.append(made)
        page = made.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", lambda told: faults.extend(_faults(told, refused, is_away)))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("request", lambda request: faults.extend(_elsewhere(request.url, site)))
        page.goto(f"{site.url}/{address}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert faults == []


FAULTS = ("error", "warning")
AWAY = ("net::ERR_", "WebSocket connection")


def _faults(told: ConsoleMessage, refused: int, is_away: bool) -> list[str]:
    is_provoked = bool(refused) and f"responded with a status of {refused}" in told.text
    is_provoked |= is_away and any(word in told.text for word in AWAY)
    return [told.text] if told.type in FAULTS and not is_provoked else []


def _elsewhere(url: str, site: Service) -> list[str]:
    here = (site.url, site.url.replace("http:", "ws:"), "data:", "blob:")
    return [] if url.startswith(here) else [f"asked {url}"]


@pytest.fixture
def picture() -> Callable[[Page, str], None]:
    """Keep how a view looks: `picture(page, "fleet-dark")`; people look at them (docs/page.md)."""

    def take(page: Page, name: str) -> None:
        PICTURES.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=PICTURES / f"{name}.png")

    return take
