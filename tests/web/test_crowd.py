import gc
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from service.web.metrics import Metrics
from service.web.scoreboard import MAX_BYTES, Scoreboard
from tests.web.crowd import (
    LONGEST,
    MOST_MEGABYTES,
    MOST_SECONDS,
    complaints,
    crowded,
    scraped,
    verdict_of,
)

COUNT = 150_000  # more than are held; a million by `make fuzz`
LOADED = 3  # a loaded machine may take so many times as long


@pytest.fixture(autouse=True)
def _collector_as_before() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)


@pytest.mark.slow
def test_a_crowd_of_hostile_names_leaves_a_page_that_can_be_read() -> None:
    page = scraped(crowded(COUNT))
    assert len(page.content) < 1e6 * MOST_MEGABYTES
    assert page.seconds < MOST_SECONDS * LOADED
    assert complaints(page.content) == ""
    families = {
        one.name: one.samples for one in text_string_to_metric_families(page.content.decode())
    }
    shown = len(families["gaugewatch_score"])
    assert 0 < shown <= 500
    assert families["gaugewatch_entities_not_exported"][0].value == COUNT - shown


@pytest.mark.parametrize("letter", ["\N{GRINNING FACE}", '"', "\\"])
def test_the_longest_names_fit_the_page(letter: str) -> None:
    metrics = Metrics(budgets=dict, scoreboard=Scoreboard(shown=10_000, max_entities=20_000))
    names = [f"{number}{letter}".ljust(LONGEST, letter) for number in range(12_000)]
    metrics.count([verdict_of(name, number) for number, name in enumerate(names)])
    page = metrics.render()
    assert len(page) < 1e6 * MOST_MEGABYTES
    assert complaints(page) == ""


def test_what_does_not_fit_is_counted() -> None:
    board = Scoreboard(shown=10_000, max_entities=20_000)
    name_bytes = 4 * LONGEST
    for number in range(2_000):
        face = f"{number:04d}" + "\N{GRINNING FACE}" * (LONGEST - 1)
        board.note(verdict_of(face, number), 1.0)
    shown, left_out = board.leading(2.0)
    assert len(shown) == MAX_BYTES // name_bytes
    assert left_out == 2_000 - len(shown)
