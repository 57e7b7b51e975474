import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from service.scoring.bundle import Bundle
from service.scoring.fold import Fold
from service.scoring.incident import RESOLVE_AFTER, Transition
from service.scoring.offline import Scored, score_series
from service.scoring.series import Segment, Series
from tests.builders import DIMENSIONS, ENTITIES, loaded_tiny_bundle, series_like
from trainer.budget import (
    BUDGETS,
    false_incidents_over_budget,
    incidents_per_day,
    last_rows,
)
from trainer.datasets import Halves
from trainer.evaluate import evaluate, measure
from trainer.floors import Answers
from trainer.material import Material, write_history
from trainer.report import write_report
from trainer.tables import APPENDIX, table
from trainer.training import Progress

FAULT = Segment(200, 219, (2,))


def with_fault(series: Series, size: float = 3.0) -> Series:
    """The series with one labelled level shift of its third dimension."""
    values, label = series.values.copy(), np.zeros(len(series.values), bool)
    values[FAULT.start : FAULT.end + 1, FAULT.dimensions] += size
    label[FAULT.start : FAULT.end + 1] = True
    return replace(series, values=values, label=label, segments=(FAULT,))


def material(bundle: Bundle, tests: list[Series], held_out: list[Series]) -> Material:
    """What the trainer would hand to the report."""
    fold = Fold(bundle)
    train = [series_like(entity, 300, seed=1) for entity in ENTITIES]
    halves = Halves(train, tests)
    evaluation = evaluate(halves, score_series(fold, tests), period_seconds=60)
    return Material(bundle, halves, evaluation, held_out, score_series(fold, held_out))


def labelled(bundle: Bundle) -> Material:
    tests = [with_fault(series_like(entity, 400, seed=2)) for entity in ENTITIES]
    return material(bundle, tests, [series_like(entity, 300, seed=1) for entity in ENTITIES])


def pictures(text: str) -> list[str]:
    return re.findall(r"\]\(([a-z_]+\.png)\)", text)


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return loaded_tiny_bundle(tmp_path)


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Material, str]:
    """A report on labelled data with a history of its training, and what it was made of."""
    bundle = loaded_tiny_bundle(tmp_path_factory.mktemp("reported"))
    epochs = [
        Progress(
            epoch=epoch,
            epochs=3,
            step=epoch,
            total=3,
            loss=1 / epoch,
            validation_loss=2 / epoch,
            seconds_left=0.0,
            learning_rate=1e-3,
        )
        for epoch in (1, 2, 3)
    ]
    write_history(bundle.folder, epochs, best_epoch=2)
    given = labelled(bundle)
    return given, write_report(given).read_text()


def test_a_report_shows_every_plot_and_all_of_them_are_small(
    reported: tuple[Material, str],
) -> None:
    given, text = reported
    folder = given.bundle.folder
    assert sorted(pictures(text)) == sorted(path.name for path in folder.glob("*.png"))
    assert len(pictures(text)) == 5
    for path in folder.glob("*.png"):
        assert path.read_bytes().startswith(b"\x89PNG")
        assert path.stat().st_size < 120_000
    assert "epoch 2 were kept" in text


def test_the_figures_of_a_report_are_those_of_its_data(reported: tuple[Material, str]) -> None:
    given, text = reported
    rows = given.evaluation.rows
    assert f"| average precision | {rows['bundle']['average_precision']:.3f} |" in text
    assert f"| {rows['random']['vus_pr']:.3f} |" in text
    own = max(given.evaluation.scored, key=lambda scored: float(np.nanmax(scored.severity)))
    assert "| test half | 2 | 800 | 0 | 0 | 0 | 0 | 40 |" in text
    assert f"{len(own.score)} points, {own.is_anomaly.sum()} anomalous" in text
    assert f"severity {np.nanmax(own.severity):.3g}" in text


def test_the_most_blamed_dimension_of_the_worst_incident_is_the_faulty_one(
    reported: tuple[Material, str],
) -> None:
    assert re.search(r"Most blamed: c \(\d+%\)", reported[1])
    assert re.search(r"point 20[01] to 2\d\d", reported[1])


@pytest.mark.slow
def test_the_same_data_give_the_same_report(bundle: Bundle) -> None:
    def files() -> dict[str, bytes]:
        write_report(labelled(bundle))
        reported = [*bundle.folder.glob("*.png"), bundle.folder / "report.md"]
        return {path.name: path.read_bytes() for path in reported}

    assert files() == files()


@pytest.mark.slow
def test_a_horizon_that_was_not_reached_is_said_in_words(bundle: Bundle) -> None:
    assert "Memory horizon: 4 points." in write_report(material(bundle, [], [])).read_text()
    manifest = bundle.manifest.model_copy(update={"is_horizon_reached": False})
    text = write_report(material(replace(bundle, manifest=manifest), [], [])).read_text()
    assert "not reached within 4 points" in text


def test_the_bundle_ranks_by_severity_and_its_score_is_shown_beside_it(
    reported: tuple[Material, str],
) -> None:
    given, text = reported
    rows = given.evaluation.rows
    assert {"hit_rate_100", "ndcg_100", "event_recall"} <= set(rows["bundle"])
    assert not {"hit_rate_100", "rc_top_3", "event_recall"} & set(rows["score"])
    assert "| measure | bundle | score |" in text
    ranked = [
        measure(one, Answers(own.severity, None), period_seconds=60)["average_precision"]
        for one, own in zip(given.evaluation.series, given.evaluation.scored, strict=True)
    ]
    assert rows["bundle"]["average_precision"] == pytest.approx(np.mean(ranked))


def test_an_inflated_measure_is_kept_for_an_appendix(reported: tuple[Material, str]) -> None:
    given, text = reported
    head, lines = table(given.evaluation.rows, APPENDIX)
    assert [line[0] for line in lines] == list(APPENDIX.values())
    assert "random" in head
    assert "adjusted" not in text


def test_the_report_says_how_many_incidents_the_calibration_stretch_had(
    reported: tuple[Material, str],
) -> None:
    assert re.search(r"calibration stretch \(in sample\): \d", reported[1])


@pytest.mark.slow
def test_without_labels_the_report_says_what_could_not_be_measured(bundle: Bundle) -> None:
    tests = [series_like(entity, 400, seed=2) for entity in ENTITIES]
    text = write_report(material(bundle, tests, [])).read_text()
    assert "nothing could be measured" in text
    assert {"timeline.png", "expected.png", "contributions.png"} <= set(pictures(text))


@pytest.mark.slow
def test_without_a_test_half_the_held_out_stretch_is_shown(bundle: Bundle) -> None:
    text = write_report(material(bundle, [], [series_like("alpha", 300, seed=1)])).read_text()
    assert "held-out end of the training half: 300 points" in text
    assert "budget.png" in pictures(text)


@pytest.mark.slow
def test_a_calm_series_is_shown_at_its_most_severe_point(bundle: Bundle) -> None:
    calm = replace(series_like("alpha", 300), values=np.zeros((300, len(DIMENSIONS))))
    text = write_report(material(bundle, [calm], [])).read_text()
    assert "no point was anomalous" in text


def test_a_series_too_short_to_be_scored_is_said_to_be(bundle: Bundle) -> None:
    text = write_report(material(bundle, [series_like("alpha", 2)], [])).read_text()
    assert "it is too short" in text


@pytest.mark.slow
def test_an_incident_at_either_end_of_its_series_can_be_drawn(bundle: Bundle) -> None:
    for segment in (slice(4, 8), slice(395, 400)):
        one = series_like("alpha", 400, seed=2)
        one.values[segment, 1] += 5.0
        text = write_report(material(bundle, [one], [])).read_text()
        assert re.search(r"Most blamed: b", text)


def test_more_budget_never_means_fewer_anomalies_and_labelled_events_do_not_count(
    reported: tuple[Material, str],
) -> None:
    given = reported[0]
    bundle, tests, scored = given.bundle, given.evaluation.series, given.evaluation.scored
    rates = incidents_per_day(bundle, tests, scored)
    unlabelled = [replace(one, label=None) for one in tests]
    with_events = incidents_per_day(bundle, unlabelled, scored)
    assert rates.shape == BUDGETS.shape
    assert rates[0] <= rates[-1]
    assert with_events[0] > rates[0]


def told_false(scored: Scored, *labelled: int) -> float:
    """False incidents over a budget of 1, where a day is as long as what was scored."""
    label = np.isin(np.arange(len(scored.score)), labelled)
    period_seconds = 86_400.0 / float(np.isfinite(scored.score).sum())
    return false_incidents_over_budget(scored, label, budget=1.0, period_seconds=period_seconds)


def test_an_incident_is_false_when_nothing_from_its_opening_to_its_last_flag_is_labelled(
    bundle: Bundle,
) -> None:
    one = series_like("alpha", 200)
    one.values[100:103] += 50.0
    (scored,) = score_series(Fold(bundle), [one])
    opened = [told.row for told in scored.told if told.transition == Transition.OPENED]
    resolved = [told.row for told in scored.told if told.transition == Transition.RESOLVED]
    assert len(opened) == len(resolved) == 1
    last = resolved[0] - RESOLVE_AFTER
    assert last == np.flatnonzero(scored.is_anomaly)[-1]
    assert told_false(scored) == pytest.approx(1.0)
    assert told_false(scored, opened[0]) == 0.0
    assert told_false(scored, last) == 0.0
    assert told_false(scored, opened[0] - 1, last + 1) == pytest.approx(1.0)


def test_an_incident_still_open_lasts_to_the_end(bundle: Bundle) -> None:
    one = series_like("alpha", 200)
    one.values[197:] += 50.0
    (scored,) = score_series(Fold(bundle), [one])
    assert told_false(scored) == pytest.approx(1.0)
    assert told_false(scored, 199) == 0.0


def test_twice_the_budget_halves_the_ratio(reported: tuple[Material, str]) -> None:
    for scored in reported[0].evaluation.scored:
        label = np.zeros(len(scored.score), bool)
        ratios = [
            false_incidents_over_budget(scored, label, budget=budget, period_seconds=60)
            for budget in (1.0, 2.0)
        ]
        opened = sum(told.transition == Transition.OPENED for told in scored.told)
        days = np.isfinite(scored.score).sum() * 60 / 86_400
        assert ratios == pytest.approx([opened / days, opened / days / 2])


def test_the_last_rows_of_a_series_lose_their_labels() -> None:
    one = with_fault(series_like("alpha", 400))
    last = last_rows(one, 100)
    assert last.values.shape == (100, len(DIMENSIONS))
    assert np.array_equal(last.timestamps_ms, one.timestamps_ms[-100:])
    assert last.label is None
    assert last.segments == ()
    assert len(last_rows(one, 1000).values) == 400
