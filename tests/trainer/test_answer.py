from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from service.scoring.series import Segment, Series
from tests.trainer import small
from trainer.benchmark.answer import answer, fit_case
from trainer.benchmark.bench import Answer, Row
from trainer.benchmark.cases import Case, Suite
from trainer.benchmark.rows import BENCH, ROWS
from trainer.budget import BUDGETS
from trainer.config import LinearConfig
from trainer.floors import floors

CALM_POINTS = 20_000
WIDE_POINTS, WIDE = 300, 200  # rows, and almost as many dimensions
LINEAR = Row("linear", "Linear", is_floor=False, seeds=1, config=LinearConfig(clusters=4))
FLOORS = [row for row in ROWS if row.config is None]


def steady(entity: str, *, count: int, seed: int) -> Series:
    """Coupled dimensions without memory, so that every point is as likely to stand out."""
    random = np.random.default_rng([seed, len(entity)])
    load = random.normal(size=(count, 2))
    mixing = np.random.default_rng(8).normal(size=(2, 6))
    one = small.series(entity, count=count)
    return replace(one, values=load @ mixing + 0.3 * random.normal(size=(count, 6)))


def faulty(series: Series, at: int) -> Series:
    values, label = series.values.copy(), np.zeros(len(series.values), bool)
    values[at : at + 15, 2] += 4.0
    label[at : at + 15] = True
    return replace(series, values=values, label=label, segments=(Segment(at, at + 14, (2,)),))


def suite_of(*cases: Case) -> Suite:
    return Suite("tiny", "Tiny", 60.0, cases, "made up")


def case_of(entity: str, *, count: int = 700) -> Case:
    test = faulty(steady(entity, count=200, seed=2), 120)
    return Case(entity, steady(entity, count=count, seed=1), test, is_tuning=False)


def answers_of(row: Row, suite: Suite, bundles: Mapping[str, Path] | None = None) -> list[Answer]:
    found = answer(row, suite, seed=3, bundles=bundles or {}, on_point=lambda _count: None)
    assert list(found) == [case.entity for case in suite.cases]
    return list(found.values())


def test_names_of_rows_are_unique_and_the_bench_names_some_of_them() -> None:
    names = [row.name for row in ROWS]
    assert len(set(names)) == len(names)
    assert {BENCH.default, *BENCH.others()} <= set(names)
    assert BENCH.default not in BENCH.others()


def test_rows_without_a_fit_are_the_floors() -> None:
    known = floors(steady("a", count=40, seed=1), steady("a", count=10, seed=2))
    assert {row.name for row in FLOORS} == set(known)
    assert all(row.is_floor for row in FLOORS)
    with pytest.raises(ValueError, match="nothing to fit"):
        fit_case(case_of("a"), FLOORS[0], seed=0, period_seconds=60.0, folder=Path())


def test_rows_that_differ_by_chance_alone_have_several_seeds() -> None:
    for row in ROWS:
        is_random = row.name == "random" or (
            row.config is not None and row.config.model == "blind_spot"
        )
        assert (row.seeds > 1) == is_random, row.name


@pytest.mark.parametrize("row", FLOORS, ids=lambda row: row.name)
def test_a_floor_flags_about_as_many_calm_points_as_it_is_meant_to(row: Row) -> None:
    """Fewer where scores have a bound: the tail believes in none."""
    train, test = (steady("calm", count=CALM_POINTS, seed=seed) for seed in (1, 2))
    [found] = answers_of(row, suite_of(Case("calm", train, test, is_tuning=False)))
    assert found.answers.is_anomaly is not None
    assert found.nominal_share is not None
    assert 1e-3 < found.nominal_share < 5e-3
    ratio = found.answers.is_anomaly.mean() / found.nominal_share
    assert ratio < 2.0
    if row.name == "pca":
        assert ratio > 0.5
    assert found.microseconds_per_point is None


def test_a_floor_takes_its_threshold_from_rows_its_fit_has_not_seen() -> None:
    """With as many dimensions a fit hugs the rows it saw, and every new row stands out."""
    random = np.random.default_rng(7)
    one, dimensions = small.series("wide", count=WIDE_POINTS), tuple(map(str, range(WIDE)))
    train, test = (
        replace(one, dimensions=dimensions, values=random.normal(size=(WIDE_POINTS, WIDE)))
        for _ in range(2)
    )
    [pca] = [row for row in FLOORS if row.name == "pca"]
    [found] = answers_of(pca, suite_of(Case("wide", train, test, is_tuning=False)))
    assert found.answers.is_anomaly is not None
    assert found.answers.is_anomaly.mean() < 0.02
    seen = floors(train, train)["pca"].score
    assert (found.answers.score > seen.max()).mean() > 0.9


def test_a_floor_ranks_and_blames_as_without_a_threshold() -> None:
    case = case_of("alpha")
    for row in FLOORS:
        [found] = answers_of(row, suite_of(case))
        expected = floors(case.train, case.test, seed=3)[row.name]
        assert found.answers.score.tobytes() == expected.score.tobytes()
        assert found.answers.contribution is not None
        assert expected.contribution is not None
        assert found.answers.contribution.tobytes() == expected.contribution.tobytes()
        assert found.answers.severity is None


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_linear_row_answers_a_suite_from_end_to_end(tmp_path: Path) -> None:
    alpha, beta = case_of("alpha"), case_of("beta")
    again = replace(
        alpha,
        entity="alpha/fault-0",
        test=faulty(steady("alpha", count=150, seed=6), 60),
        fitted_as="alpha",
    )
    bundles = {
        case.entity: fit_case(
            case, LINEAR, seed=0, period_seconds=60.0, folder=tmp_path / case.entity
        )
        for case in (alpha, beta)
    }
    suite = suite_of(alpha, again, beta)
    for case, found in zip(suite.cases, answers_of(LINEAR, suite, bundles), strict=True):
        label, answers = case.test.label, found.answers
        assert label is not None
        assert answers.is_anomaly is not None
        assert answers.severity is not None
        assert answers.contribution is not None
        assert answers.contribution.shape == case.test.values.shape
        is_scored = np.isfinite(answers.score)
        assert is_scored.sum() > len(label) - 10
        assert (np.isfinite(answers.severity) == is_scored).all()
        assert (answers.is_anomaly[is_scored] == (answers.score[is_scored] > 1)).all()
        assert answers.is_anomaly[label].any()
        assert answers.contribution[label].mean(axis=0).argmax() == 2
        assert found.nominal_share is not None
        assert 0 < found.nominal_share < 0.05
        assert found.false_incidents_over_budget is not None
        assert found.false_incidents_over_budget >= 0
        rates = found.incidents_per_day_by_budget
        assert rates is not None
        assert list(rates) == BUDGETS.tolist()
        assert found.microseconds_per_point is not None
        assert 0 < found.microseconds_per_point < 1e5
