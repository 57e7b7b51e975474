import csv
import json
import re
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from statistics import fmean, median, stdev

import numpy as np
import pytest

from trainer.benchmark.means import Mean
from trainer.benchmark.results import EntityResult, RunResult
from trainer.benchmark.sheets import (
    GROUPS,
    TITLES,
    as_csv,
    as_markdown,
    shown_as,
    write_sheets,
)
from trainer.benchmark.summary import Summary, summarise
from trainer.tables import APPENDIX

ENTITIES = ("a", "b", "c", "d", "e")
FAULTS = ("swap-0", "swap-1", "lag-0")
SEEDS = {"ours": (0, 1, 2), "pca": (0,), "random": (0,)}
NEAR = 1e-12
MEASURES = ("vus_pr", "average_precision", "composite_f1", "point_adjusted_f1")
BUDGETS = (0.1, 10.0)


def run_of(suite: str, row: str, seed: int) -> RunResult:
    """Made-up measures; PCA decides nothing, and one entity lacks one of them."""
    random = np.random.default_rng([len(suite), len(row), seed])
    entities = {}
    for entity in ENTITIES:
        for name in [f"{entity}/{f}" for f in FAULTS] if suite == "injected" else [entity]:
            measures = dict(zip(MEASURES, random.random(4).tolist(), strict=True))
            if row == "pca":
                del measures["composite_f1"]
            if entity == "d" and seed == 1:
                del measures["vus_pr"]
            entities[name] = EntityResult(
                is_tuning=entity in "ab",
                fitted_as=entity,
                points=100,
                measures=measures,
                incidents_per_day=dict(zip(BUDGETS, random.random(2).tolist(), strict=True)),
            )
    return RunResult(
        fingerprint="f",
        suite=suite,
        suite_title=f"Suite {suite}",
        source="made up",
        row=row,
        row_title=row.title(),
        is_floor=row != "ours",
        seed=seed,
        seconds=1.0,
        fit_seconds=2.0 + seed,
        code="c",
        scores="s",
        entities=entities,
    )


def all_runs() -> list[RunResult]:
    return [
        run_of(suite, row, seed)
        for suite in ("injected", "smd")
        for row, seeds in SEEDS.items()
        for seed in seeds
    ]


def summary_of(runs: Sequence[RunResult]) -> Summary:
    rows, others = ("ours", "untrained", "pca"), ("pca", "untrained")
    return summarise(runs, suites=("smd", "asd", "injected"), rows=rows, others=others)


def slow_value(runs: Sequence[RunResult], row: str, entity: str, measure: str) -> float | None:
    """Mean over the seeds of the means over the cases."""
    by_seed = []
    for run in runs:
        cases = [
            one.measures[measure]
            for one in run.entities.values()
            if run.row == row and one.fitted_as == entity and measure in one.measures
        ]
        by_seed += [fmean(cases)] if cases else []
    return fmean(by_seed) if by_seed else None


@pytest.mark.parametrize("suite", ["smd", "injected"])
@pytest.mark.parametrize("row", SEEDS)
@pytest.mark.parametrize("measure", MEASURES)
def test_means_are_over_cases_then_seeds_then_entities(suite: str, row: str, measure: str) -> None:
    runs = [run for run in all_runs() if run.suite == suite]
    found = summary_of(runs).suites[suite].rows[row]
    for whose, entities in (("all", "abcde"), ("untuned", "cde")):
        values = [slow_value(runs, row, entity, measure) for entity in entities]
        known = [value for value in values if value is not None]
        mean = getattr(found, whose).get(measure)
        if not known:
            assert mean is None
            continue
        assert mean.mean == pytest.approx(fmean(known))
        assert mean.median == pytest.approx(median(known))
        assert mean.entities == len(known)
        assert (mean.low is None) == (whose == "all")
        if whose == "untuned":
            edges = min(known) - NEAR, mean.low, mean.mean, mean.high, max(known) + NEAR
            assert list(edges) == sorted(edges)


def test_the_deviation_is_that_of_the_means_of_the_seeds() -> None:
    runs = [run for run in all_runs() if run.suite == "smd"]
    rows = summary_of(runs).suites["smd"].rows
    by_seed = [
        fmean(
            one.measures["average_precision"] for one in run.entities.values() if not one.is_tuning
        )
        for run in runs
        if run.row == "ours"
    ]
    assert rows["ours"].untuned["average_precision"].deviation == pytest.approx(stdev(by_seed))
    assert rows["pca"].untuned["average_precision"].deviation is None
    assert rows["ours"].fit_seconds == 3.0


def test_differences_are_between_the_same_untuned_entities() -> None:
    runs = [run for run in all_runs() if run.suite == "injected"]
    rows = summary_of(runs).suites["injected"].rows
    found = rows["ours"].differences["pca"]
    assert found.keys() == {"vus_pr", "average_precision", "point_adjusted_f1"}
    for measure, difference in found.items():
        gains = [
            (slow_value(runs, "ours", entity, measure) or 0.0)
            - (slow_value(runs, "pca", entity, measure) or 0.0)
            for entity in "cde"
        ]
        assert difference.mean == pytest.approx(fmean(gains))
        assert difference.low is not None
        assert difference.high is not None
        assert min(gains) - NEAR <= difference.low <= difference.high <= max(gains) + NEAR
        assert difference.is_sure == (difference.low > 0 or difference.high < 0)
    assert rows["pca"].differences == {}
    assert rows["random"].differences.keys() == {"pca"}


@pytest.mark.parametrize("suite", ["smd", "injected"])
def test_observed_incidents_are_means_over_untuned_entities_at_every_budget(suite: str) -> None:
    runs = [run for run in all_runs() if run.suite == suite]
    found = summary_of(runs).suites[suite].rows["ours"].incidents_per_day
    assert tuple(found) == BUDGETS
    for budget, mean in found.items():
        values = [
            fmean(
                one.incidents_per_day[budget]
                for run in runs
                for one in run.entities.values()
                if run.row == "ours" and one.fitted_as == entity
            )
            for entity in "cde"
        ]
        assert (mean.mean, mean.median) == pytest.approx((fmean(values), median(values)))
        assert mean.low is not None


def test_families_are_the_faults_without_their_draw() -> None:
    runs = [run for run in all_runs() if run.suite == "injected"]
    suite = summary_of(runs).suites["injected"]
    families = suite.rows["ours"].families
    assert families.keys() == {"swap", "lag"}
    values = [
        fmean(
            fmean(run.entities[f"{entity}/swap-{draw}"].measures["composite_f1"] for draw in (0, 1))
            for run in runs
            if run.row == "ours"
        )
        for entity in "cde"
    ]
    assert families["swap"]["composite_f1"].mean == pytest.approx(fmean(values))
    assert (suite.entities, suite.untuned, suite.cases) == (5, 3, 15)


def test_suites_and_rows_are_in_the_order_asked_for_and_unknown_ones_last() -> None:
    summary = summary_of(all_runs())
    assert list(summary.suites) == ["smd", "injected"]
    assert list(summary.suites["smd"].rows) == ["ours", "pca", "random"]
    assert summary.suites["smd"].rows["ours"].families == {}


def test_a_suite_of_tuned_entities_has_no_intervals_and_no_differences() -> None:
    runs = [run_of("smd", row, 0) for row in SEEDS]
    tuned = [
        run.model_copy(update={"entities": {name: run.entities[name] for name in "ab"}})
        for run in runs
    ]
    rows = summary_of(tuned).suites["smd"].rows
    assert rows["ours"].untuned == {}
    assert rows["ours"].differences == {"pca": {}}
    text = as_markdown(summary_of(tuned))
    assert "Untuned entities" not in text
    assert "Against" not in text


# ---- the sheets


def test_every_measure_with_a_title_has_its_group() -> None:
    grouped = [name for names in GROUPS.values() for name in names]
    assert sorted([*grouped, *APPENDIX]) == sorted(TITLES)


def test_the_csv_holds_every_measure_of_every_run() -> None:
    runs = all_runs()
    lines = list(csv.DictReader(StringIO(as_csv(runs))))
    assert len(lines) == sum(len(run.entities) for run in runs)
    of = {(line["suite"], line["row"], line["seed"], line["entity"]): line for line in lines}
    for run in runs:
        for name, one in run.entities.items():
            line = of[run.suite, run.row, str(run.seed), name]
            assert line["is_tuning"] == str(int(one.is_tuning))
            found = {measure: float(line[measure]) for measure in MEASURES if line[measure]}
            assert found == one.measures


def test_json_and_csv_and_markdown_agree(tmp_path: Path) -> None:
    runs = all_runs()
    write_sheets(tmp_path, runs, summary_of(runs))
    answer = json.loads((tmp_path / "benchmark.json").read_text())
    lines = list(csv.DictReader(StringIO((tmp_path / "entities.csv").read_text())))
    values = [
        float(line["average_precision"])
        for line in lines
        if (line["suite"], line["row"], line["is_tuning"]) == ("smd", "pca", "0")
    ]
    mean = answer["suites"]["smd"]["rows"]["pca"]["untuned"]["average_precision"]
    assert mean["mean"] == pytest.approx(fmean(values))
    text = (tmp_path / "benchmark.md").read_text()
    shown = f"{mean['mean']:.3f} [{mean['low']:.3f}, {mean['high']:.3f}]"
    assert shown in text[text.index("## Suite smd") : text.index("## Suite injected")]


def test_what_one_drifting_machine_would_decide_is_shown_as_a_median() -> None:
    mean = Mean(mean=5.0, median=1.5, deviation=0.1, low=1.0, high=9.0, entities=3)
    assert shown_as("flagged_over_nominal", mean) == "1.500"
    assert shown_as("vus_pr", mean) == "5.000 ± 0.100 [1.000, 9.000]"
    assert shown_as("vus_pr", None) == "-"


def test_every_table_of_the_markdown_is_whole() -> None:
    text = as_markdown(summary_of(all_runs()))
    for table in re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE):
        lines = table.strip().split("\n")
        assert len({line.count(" | ") for line in lines}) == 1
        assert len(lines) > 2
    assert "*Pca*" in text
    assert "| Ours |" in text


def test_point_adjusted_f1_is_in_the_appendix_only_and_beside_chance() -> None:
    text = as_markdown(summary_of(all_runs()))
    body, appendix = text.split("## Appendix")
    assert "point-adjusted" not in body
    assert "*Random*" in appendix


def test_results_of_several_states_of_the_source_are_told() -> None:
    runs = all_runs()
    assert "Not of one state" not in as_markdown(summary_of(runs))
    mixed = [runs[0].model_copy(update={"code": "other"}), *runs[1:]]
    assert "2 states of the source" in as_markdown(summary_of(mixed))
