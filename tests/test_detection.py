"""What is committed of a detection benchmark, and the tables that are made of it."""

import csv
import json
import re
from io import StringIO
from pathlib import Path
from statistics import fmean

import pytest

from benchmarks import detection, figures, peers, tables
from tests.trainer.test_benchmark_summary import all_runs, summary_of
from trainer.benchmark.rows import BENCH
from trainer.benchmark.sheets import as_csv, write_sheets
from trainer.benchmark.summary import Summary
from trainer.benchmark.width import ROWS_CUT
from trainer.tables import cell

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / page for page in figures.PAGES]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A benchmark folder with one picture, and the working folder of an empty repository."""
    runs = all_runs()
    write_sheets(tmp_path / "made", runs, summary_of(runs))
    (tmp_path / "made" / "pictures").mkdir()
    (tmp_path / "made" / "pictures" / "smd-gains.png").write_bytes(b"a picture")
    for needed in (detection.SUMMARY, detection.SHOWN):
        (tmp_path / needed).parent.mkdir(parents=True, exist_ok=True)
    return tmp_path


def test_the_committed_summary_is_the_whole_one_rounded(folder: Path) -> None:
    text = (folder / "made" / "benchmark.json").read_text()
    whole = Summary.model_validate_json(text)
    brief = Summary.model_validate_json(detection.shortened(text))
    assert list(brief.suites) == list(whole.suites)
    for name, suite in whole.suites.items():
        for row, own in suite.rows.items():
            found = brief.suites[name].rows[row]
            assert found.untuned.keys() == own.untuned.keys()
            assert found.differences == {}  # none of these rows is the default
            for measure, mean in own.untuned.items():
                assert found.untuned[measure].mean == pytest.approx(mean.mean, rel=1e-4)
                assert found.untuned[measure].entities == mean.entities


def test_the_differences_of_the_default_are_kept(folder: Path) -> None:
    answer = json.loads((folder / "made" / "benchmark.json").read_text())
    rows = answer["suites"]["smd"]["rows"]
    rows[BENCH.default] = rows.pop("ours")
    brief = Summary.model_validate_json(detection.shortened(json.dumps(answer)))
    assert brief.suites["smd"].rows[BENCH.default].differences["pca"].keys() >= {"vus_pr"}


def test_the_committed_sheet_has_every_line_and_few_digits() -> None:
    whole = as_csv(all_runs())
    brief = detection.rounded(whole)
    assert len(brief) < len(whole)
    for line, own in zip(*(csv.reader(StringIO(text)) for text in (brief, whole)), strict=True):
        for short, full in zip(line, own, strict=True):
            same = short == full or float(short) == pytest.approx(float(full), rel=1e-4)
            assert same, (short, full)


def test_suites_that_were_not_made_again_stay_as_they_are(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    detection.main(folder / "made")
    summary, sheet = detection.SUMMARY.read_text(), detection.ENTITIES.read_text()
    detection.SUMMARY.write_text(summary.replace('"smd"', '"msl"'))
    detection.ENTITIES.write_text(sheet.replace("\nsmd,", "\nmsl,"))
    detection.main(folder / "made")
    found = Summary.model_validate_json(detection.SUMMARY.read_text())
    once = Summary.model_validate_json(summary)
    assert list(found.suites) == ["smd", "msl", *(name for name in once.suites if name != "smd")]
    assert found.suites["msl"] == found.suites["smd"] == once.suites["smd"]
    lines = detection.ENTITIES.read_text().splitlines()
    assert len(lines) == len(set(lines))
    assert {line for line in lines if not line.startswith("msl,")} == set(sheet.splitlines())


def test_a_measure_that_a_suite_does_not_have_stays_empty() -> None:
    kept = "suite,entity,vus_pr,hit_rate\nmsl,a,.1,\nsmd,b,.2,.3\n"
    made = "suite,entity,vus_pr\nmsl,a,.4\n"
    assert detection.joined_sheet(kept, made) == kept.replace(".1", ".4")


def test_pictures_are_copied_and_those_that_are_no_more_go(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    detection.SHOWN.mkdir()
    (detection.SHOWN / "smd-best.png").write_bytes(b"old")
    detection.main(folder / "made")
    assert [path.name for path in detection.SHOWN.iterdir()] == ["smd-gains.png"]
    assert detection.SUMMARY.is_file()
    assert detection.ENTITIES.is_file()
    text = figures.filled("<!-- figures:picture-smd-gains --><!-- /figures -->")
    assert "(pictures/smd-gains.png)" in text
    empty = figures.filled("<!-- figures:picture-smd-best --><!-- /figures -->")
    assert "png" not in empty


def test_a_picture_that_is_too_large_is_refused(folder: Path) -> None:
    large = folder / "large.png"
    large.write_bytes(bytes(detection.MOST_BYTES + 1))
    with pytest.raises(SystemExit, match="at most"):
        detection.copy_picture(large, folder / "copy.png")


def test_committed_pictures_are_small() -> None:
    for path in (ROOT / detection.SHOWN).iterdir():
        assert path.stat().st_size <= detection.MOST_BYTES


def test_every_table_is_shown_somewhere() -> None:
    shown = {name for page in PAGES for name in figures.PLACE.findall(page.read_text())}
    pictures = {f"picture-{name}" for name in detection.PICTURES}
    assert shown == {"bench", *tables.TABLES, *pictures}


@pytest.mark.parametrize("name", tables.TABLES)
def test_every_line_of_a_table_has_as_many_cells_as_its_head(name: str) -> None:
    text = "\n".join(tables.TABLES[name]())
    parts = re.findall(r"(?:^\|.*\|(?:\n|$))+", text, re.MULTILINE)
    assert parts
    for part in parts:
        assert len({line.count(" | ") for line in part.strip().split("\n")}) == 1


def test_a_cell_of_the_ranking_table_is_the_mean_of_the_committed_entities() -> None:
    with (ROOT / detection.ENTITIES).open(newline="") as file:
        values = [
            float(line["vus_pr"])
            for line in csv.DictReader(file)
            if (line["suite"], line["row"], line["is_tuning"]) == ("smd", "pca", "0")
        ]
    suite = tables.results().suites["smd"]
    assert len(values) == suite.untuned
    assert cell(fmean(values)) in "\n".join(tables.group_table("Ranking"))


def test_peers_are_those_whose_width_is_known_and_their_means_as_published() -> None:
    assert tuple(ROWS_CUT) == peers.MACHINES
    assert {len(values) for values in peers.PUBLISHED.values()} == {len(ROWS_CUT)}
    means = {name: round(fmean(values), 3) for name, values in peers.PUBLISHED.items()}
    assert means["PCA"] == 0.378
    assert means["best of 23 by machine"] == 0.533
    assert means["PCA"] == max(mean for name, mean in means.items() if "best" not in name)
