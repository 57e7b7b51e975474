import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.trainer.small_bench import BENCH, SUITES, do_here, place_of, planned
from trainer.benchmark.page import write_page
from trainer.benchmark.pictures import delays_of, distinct
from trainer.benchmark.results import Trace, read_runs
from trainer.benchmark.summary import summarise
from trainer.benchmark.trace_plots import LATEST, Delays

VOID = {"meta", "img", "br", "link"}
EVERYWHERE = ("rows", "gains", "delays", "promised", "best", "worst")


class Checker(HTMLParser):
    """Notes what is linked and shown; refuses tags that are not closed in their order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.images: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = dict(attrs)
        if tag not in VOID:
            self.open.append(tag)
        if tag == "img":
            assert known["alt"]
            self.images.append(known["src"] or "")
        self.links += [known["href"] or ""] if "href" in known else []
        self.ids += [known["id"] or ""] if "id" in known else []

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished benchmark with its page."""
    place = place_of(tmp_path_factory.mktemp("page"))
    do_here(place, planned(place))
    write(place.output)
    return place.output


def write(output: Path) -> Checker:
    runs = read_runs(output)
    rows = [row.name for row in BENCH.rows]
    summary = summarise(runs, suites=SUITES, rows=rows, others=BENCH.others())
    text = write_page(output, runs, summary, bench=BENCH).read_text()
    checker = Checker()
    checker.feed(text)
    checker.close()
    assert checker.open == []
    return checker


def read(output: Path) -> Checker:
    checker = Checker()
    checker.feed((output / "index.html").read_text())
    return checker


@pytest.mark.slow
def test_the_page_shows_every_picture_and_every_picture_is_one(output: Path) -> None:
    shown = read(output).images
    assert shown == [str(path.relative_to(output)) for path in map(output.joinpath, shown)]
    assert sorted(shown) == sorted(f"pictures/{p.name}" for p in output.glob("pictures/*"))
    wanted = {f"pictures/{suite}-{name}.png" for suite in SUITES for name in EVERYWHERE}
    assert set(shown) == wanted | {"pictures/injected-families.png"}
    for path in shown:
        assert (output / path).stat().st_size < 300_000
        with Image.open(output / path) as image:
            assert len(image.convert("L").getcolors() or []) > 3


@pytest.mark.slow
def test_the_page_needs_nothing_from_outside_and_its_links_lead_somewhere(output: Path) -> None:
    page = read(output)
    text = (output / "index.html").read_text()
    assert not re.search(r"https?://|<script|@import", text)
    assert {link for link in page.links if link.startswith("#")} == {f"#{one}" for one in page.ids}


@pytest.mark.slow
def test_titles_are_text_and_never_tags(output: Path) -> None:
    page = read(output)
    assert "PCA <error>" in page.text
    assert "Made up & <cited>" in page.text


@pytest.mark.slow
def test_without_the_default_row_and_traces_there_are_fewer_pictures(tmp_path: Path) -> None:
    place = place_of(tmp_path, rows=BENCH.rows[1:3])
    do_here(place, planned(place, "smd"))
    for path in place.output.glob("scores/*/*/*"):
        path.unlink()
    (place.output / "pictures").mkdir()
    (place.output / "pictures" / "old.png").touch()
    images = write(place.output).images
    assert images == ["pictures/smd-rows.png", "pictures/smd-promised.png"]
    assert [path.name for path in place.output.glob("pictures/old*")] == []


def test_delays_are_from_the_start_of_an_event_to_its_first_flag() -> None:
    label = np.array([0, 1, 1, 1, 0, 0, 1, 1, 0, 1], bool)
    flags = np.array([1, 0, 0, 1, 0, 0, 1, 0, 1, 0], bool)
    score = flags.astype(float)
    delays = delays_of([Trace(score, score, flags, label), Trace(score, score, None, label)])
    assert delays.points.tolist() == [2, 0]
    assert delays.events == 3


def test_shares_are_of_all_events_and_end_with_those_ever_found() -> None:
    shares = Delays(np.array([0, 2, 2, LATEST + 5]), 8).shares
    assert shares[:3].tolist() == [1 / 8, 1 / 8, 3 / 8]
    assert shares[-2:].tolist() == [3 / 8, 4 / 8]
    assert Delays(np.array([], np.int64), 0).shares.tolist() == [0.0] * (LATEST + 2)


def test_a_curve_that_was_there_before_is_not_drawn_again() -> None:
    curve = np.array([0.1, 0.2])
    curves = {"a": curve, "b": curve + 1.0, "c": curve.copy(), "d": curve[:1]}
    assert distinct(curves) == ["a", "b", "d"]
