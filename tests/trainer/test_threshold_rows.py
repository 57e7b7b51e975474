from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from service.scoring.bundle import Bundle
from service.scoring.fold import Fold
from service.scoring.offline import score_series
from tests.builders import ENTITIES, loaded_tiny_bundle, series_like
from tests.trainer.test_report import labelled, with_fault
from trainer.budget import budget_of
from trainer.datasets import Halves
from trainer.evaluate import Measures, evaluate
from trainer.report import write_report
from trainer.threshold_rows import SHOWN, calm_scores, section_of, table_of, threshold_rows
from trainer.thresholds import parse_choice


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return loaded_tiny_bundle(tmp_path)


def rows(bundle: Bundle, *, is_labelled: bool = True, calm: bool = True) -> dict[str, Measures]:
    fold = Fold(bundle)
    tests = [with_fault(series_like(entity, 400, seed=2)) for entity in ENTITIES]
    if not is_labelled:
        tests = [replace(one, label=None, segments=()) for one in tests]
    held_out = [series_like(entity, 900, seed=1) for entity in ENTITIES] if calm else []
    evaluation = evaluate(Halves([], tests), score_series(fold, tests), period_seconds=60.0)
    scores = calm_scores(held_out, score_series(fold, held_out))
    return threshold_rows(bundle, evaluation, calibration=scores, choices=SHOWN)


def test_every_threshold_finds_a_plain_fault_and_none_beats_the_oracle(bundle: Bundle) -> None:
    found = rows(bundle)
    assert list(found) == ["service", *map(str, SHOWN)]
    for name, measures in found.items():
        assert measures["event_recall"] == 1.0, name
        assert measures["f1"] <= found["best-f1"]["f1"] + 1e-12, name
    assert found["service"]["threshold"] == 1.0
    assert found["quantile:0.01"]["flagged_points"] > found["pot:0.001"]["flagged_points"]


def test_without_labels_there_are_thresholds_and_flags_alone(bundle: Bundle) -> None:
    found = rows(bundle, is_labelled=False)
    assert "best-f1" not in found
    assert {frozenset(measures) for measures in found.values()} == {
        frozenset({"threshold", "flagged_points", "budget"})
    }


def test_the_budget_of_a_threshold_flags_what_the_threshold_does(bundle: Bundle) -> None:
    [own] = score_series(Fold(bundle), [with_fault(series_like("alpha", 400, seed=2))])
    score = np.nan_to_num(own.score)
    for threshold in (0.8, 1.0, 1.7):
        budget = budget_of(bundle, "alpha", threshold)
        fold = Fold(bundle, budget=budget)
        [other] = score_series(fold, [with_fault(series_like("alpha", 400, seed=2))])
        np.testing.assert_array_equal(other.is_anomaly, score > threshold)
        assert (budget > bundle.manifest.default_budget) == (threshold < 1)
    assert budget_of(bundle, "alpha", 1.0) == pytest.approx(bundle.manifest.default_budget)
    assert np.isnan(budget_of(bundle, "alpha", 1e-3))
    assert np.isnan(budget_of(bundle, "alpha", 100.0))


def test_every_threshold_but_the_oracle_has_a_budget(bundle: Bundle) -> None:
    found = rows(bundle)
    assert [name for name, measures in found.items() if "budget" not in measures] == ["best-f1"]
    assert found["service"]["budget"] == pytest.approx(bundle.manifest.default_budget)
    assert found["fixed:1.5"]["budget"] < found["service"]["budget"]


def test_without_a_training_half_there_is_what_needs_none(bundle: Bundle) -> None:
    assert list(rows(bundle, calm=False)) == ["service", "fixed:1.5", "best-f1"]


def test_the_oracle_is_marked_wherever_it_is_shown(bundle: Bundle) -> None:
    found = rows(bundle)
    head, _ = table_of(found)
    assert [name for name in head if "oracle" in name] == ["best-f1 (oracle)"]
    assert "best-f1 (oracle)" in section_of(found)
    assert section_of({}) == ""


def test_the_report_has_its_section(bundle: Bundle) -> None:
    text = write_report(labelled(bundle)).read_text("utf-8")
    assert "## Thresholds" in text
    assert " | pot:0.001 |" in text
    assert str(parse_choice("best-f1")) in text
