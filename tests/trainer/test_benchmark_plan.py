from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from service.errors import SettingInvalid, TrainingFailed
from tests.trainer.small_bench import (
    BENCH,
    ENTITIES,
    ROWS,
    do_here,
    load_suite,
    place_of,
    planned,
)
from trainer.benchmark.plan import choose_rows
from trainer.benchmark.results import read_runs, read_trace, traces_path
from trainer.benchmark.tasks import Work

FITS = 4 * (3 + 2)  # injected takes over those of smd
SCORES = 2 * (3 + 2 + 1 + 1)

# ---- the plan


def test_a_plan_has_a_fit_per_entity_and_seed_and_a_score_per_suite_and_seed(
    tmp_path: Path,
) -> None:
    plan = planned(place_of(tmp_path))
    assert (len(plan.fits), len(plan.scores), plan.reused) == (FITS, SCORES, 0)


def test_fits_are_shared_between_suites(tmp_path: Path) -> None:
    place = place_of(tmp_path)
    assert set(planned(place, "injected").fits) == set(planned(place, "smd").fits)


def test_seeds_are_for_rows_with_chance_in_them(tmp_path: Path) -> None:
    jobs = planned(place_of(tmp_path), "smd", seeds=1).scores
    assert [(job.row, job.seed) for job in jobs] == [(row.name, 0) for row in ROWS]


def test_rows_keep_the_order_of_the_bench_and_unknown_ones_are_told() -> None:
    assert [row.name for row in choose_rows(BENCH, ["pca", "ours"])] == ["ours", "pca"]
    with pytest.raises(SettingInvalid, match=r"expected rows of ours, .*came best, worst"):
        choose_rows(BENCH, ["worst", "ours", "best"])


# ---- going on


def test_a_second_run_has_nothing_to_do(tmp_path: Path) -> None:
    place = place_of(tmp_path)
    do_here(place, planned(place))
    plan = planned(place)
    assert (plan.fits, plan.scores, plan.reused) == ((), (), SCORES)


def test_results_alone_are_enough_to_go_on(tmp_path: Path) -> None:
    place = place_of(tmp_path)
    do_here(place, planned(place, "smd"))
    plan = planned(place)
    assert plan.fits == ()
    assert {job.suite for job in plan.scores} == {"injected"}
    assert plan.reused == SCORES // 2 + FITS


def test_other_data_are_another_benchmark(tmp_path: Path) -> None:
    do_here(place_of(tmp_path), planned(place_of(tmp_path), "smd"))
    plan = planned(place_of(tmp_path, seed=7), "smd")
    assert (len(plan.fits), len(plan.scores)) == (FITS, SCORES // 2)


def test_another_configuration_is_another_row(tmp_path: Path) -> None:
    place = place_of(tmp_path)
    do_here(place, planned(place, "smd"))
    first = ROWS[0]
    assert first.config is not None
    other = replace(first, config=first.config.model_copy(update={"threads": 2}))
    plan = planned(place_of(tmp_path, rows=(other, *ROWS[1:])), "smd")
    assert {job.row for job in plan.fits} == {job.row for job in plan.scores} == {"ours"}


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("damage", [cut, flip, Path.unlink])
@pytest.mark.parametrize("file", ["results/smd/pca/0.json", "scores/smd/pca/0.npz"])
def test_a_damaged_result_is_made_again(
    tmp_path: Path, file: str, damage: Callable[[Path], None]
) -> None:
    place = place_of(tmp_path, rows=ROWS[2:])
    do_here(place, planned(place, "smd"))
    if file.endswith("json") and damage is flip:
        (place.output / file).write_bytes(b'{"format": 1, "measures": {}}')
    else:
        damage(place.output / file)
    plan = planned(place, "smd")
    assert [job.name for job in plan.scores] == ["score smd pca seed 0"]
    do_here(place, plan)
    assert planned(place, "smd").scores == ()


@pytest.mark.parametrize("file", ["fit.json", "bundle/version/center.json"])
def test_a_damaged_bundle_is_made_again_where_it_is_needed(tmp_path: Path, file: str) -> None:
    place = place_of(tmp_path)
    do_here(place, planned(place, "smd"))
    cut(place.output / "bundles/smd/ours/1/beta" / file)
    assert planned(place, "smd").fits == ()
    assert [job.name for job in planned(place).fits] == ["fit smd ours seed 1 beta"]


def test_a_score_without_its_bundles_says_so(tmp_path: Path) -> None:
    place = place_of(tmp_path, rows=ROWS[:1])
    with pytest.raises(TrainingFailed, match="expected a bundle in"):
        Work(place, planned(place, "smd").scores[0])(print)
    assert read_runs(place.output) == []


def test_what_is_stored_is_what_was_answered(tmp_path: Path) -> None:
    place = place_of(tmp_path)
    do_here(place, planned(place))
    found = read_runs(place.output)
    assert len(found) == SCORES
    ours = next(one for one in found if (one.suite, one.row, one.seed) == ("injected", "ours", 2))
    assert list(ours.entities) == [f"{e}/{fault}-0" for e in ENTITIES for fault in ("swap", "lag")]
    first = ours.entities["alpha/swap-0"]
    assert (first.is_tuning, first.fitted_as, first.points) == (True, "alpha", 300)
    assert first.measures["microseconds_per_point"] == 3.0
    assert first.incidents_per_day[0.3] == pytest.approx(0.29)
    case = load_suite("injected", place.data).cases[0]
    trace = read_trace(traces_path(place.output, "injected", "ours", 2), "alpha/swap-0")
    assert trace is not None
    assert trace.is_anomaly is not None
    assert case.test.label is not None
    assert (trace.label == case.test.label).all()
    assert (trace.is_anomaly[10:] == (trace.score > 1)[10:]).all()
    threshold = trace.severity[10:] ** 2 / trace.score[10:]
    assert threshold == pytest.approx(np.full(290, threshold[0]), rel=1e-5)
    assert read_trace(traces_path(place.output, "injected", "ours", 2), "nobody") is None
