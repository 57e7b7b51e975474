"""A crowd: entities with hostile names, and the page of metrics that they leave."""

import random
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from service.settings import Settings
from service.stream.messages import Cause, Verdict
from service.web.faults import entity_fault
from service.web.metrics import Metrics
from service.web.scoreboard import Scoreboard
from service.web.server import calm_collector
from tests.programs import program

LETTERS: Final = ('"', "\\", "{", "}", "=", ",", "#", "\N{GRINNING FACE}", "\u0416", "x", "e", " ")
LONGEST: Final = 200
BATCH: Final = 1_000
MANY: Final = 1_000_000
MOST_MEGABYTES: Final = 2.0
MOST_SECONDS: Final = 0.1


@dataclass(frozen=True)
class Page:
    """What a scrape got."""

    content: bytes
    seconds: float


def hostile_names(count: int) -> Iterator[str]:
    """All different and all allowed, most of them as long as they may be."""
    choice = random.Random(7)
    for number in range(count):
        end = f"\N{GRINNING FACE}{number}"
        size = choice.choice((1, 50, LONGEST, LONGEST)) - len(end)
        letters = choice.choices(LETTERS, k=3)
        name = ('"' + "".join(letters) * 70)[: max(size, 1)] + end
        assert entity_fault(name, LONGEST) is None, name
        yield name


def verdict_of(entity: str, number: int) -> Verdict:
    """An anomaly of an open incident with three causes: as many series as one can have."""
    causes = [Cause(f"dimension-{n}", 0.3, 1.0, 0.0, 1.0, 1.0) for n in range(3)]
    return Verdict(
        entity=entity,
        timestamp_ms=1_750_000_000_000,
        status="scored",
        score=1.0 + number / 10**6,
        severity=3.0,
        is_anomaly=True,
        p_value=1e-9,
        contributions=causes,
        incident=f"{entity}@1750000000000",
        model="tiny/0123456789ab",
    )


def crowded(count: int) -> Metrics:
    """Metrics as they are after so many entities, with the limits that are shipped."""
    shown = int(Settings.model_fields["metrics_entities"].default)
    held = int(Settings.model_fields["max_entities"].default)
    calm_collector()  # as the service does
    metrics = Metrics(budgets=dict, scoreboard=Scoreboard(shown=shown, max_entities=held))
    verdicts = []
    for number, name in enumerate(hostile_names(count)):
        verdicts.append(verdict_of(name, number))
        if len(verdicts) == BATCH:
            metrics.count(verdicts)
            verdicts = []
    metrics.count(verdicts)
    return metrics


def scraped(metrics: Metrics) -> Page:
    """The quickest of five, in processor time: other processes run beside us."""
    pages = []
    for _ in range(5):
        start = time.thread_time()
        content = metrics.render()
        pages.append(Page(content, time.thread_time() - start))
    return min(pages, key=lambda page: page.seconds)


def complaints(page: bytes) -> str:
    """What promtool says of syntax; it has an opinion on names of others, too."""
    command = [program("promtool"), "check", "metrics"]
    ran = subprocess.run(command, input=page, capture_output=True, check=False)
    return ran.stderr.decode() if ran.returncode not in (0, 3) else ""


def main() -> None:
    page = scraped(crowded(MANY))
    size, taken_ms = len(page.content) / 1e6, 1_000 * page.seconds
    print(f"{MANY:,} names: a page of {size:.2f} MB in {taken_ms:.0f} ms of processor time")
    assert size < MOST_MEGABYTES
    assert page.seconds < MOST_SECONDS
    assert complaints(page.content) == ""


if __name__ == "__main__":
    main()
