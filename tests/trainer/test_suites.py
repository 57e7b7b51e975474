import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra.numpy import arrays

from service.errors import BadInput, BadSeries
from service.scoring.series import FloatArray, Series
from service.simulator import FAULT_PLANS
from trainer.benchmark.cases import Case, Suite
from trainer.benchmark.faults import FAULTS
from trainer.benchmark.published import PUBLISHED
from trainer.benchmark.suites import DRAWS, SUITES, held_out, inject_into, injected, load_suite
from trainer.benchmark.width import autocorrelation, width, width_of
from trainer.config import preset
from trainer.linear import clip, fit_linear
from trainer.measures.ranking import average_precision
from trainer.windows import split

ROOT = Path(__file__).parent.parent.parent
DATA = Path(os.environ.get("GAUGEWATCH_DATA") or ROOT.parent / "shared" / "data")

TSB_AD_WIDTHS = {
    "machine-1-2": 30,
    "machine-1-3": 125,
    "machine-1-5": 10,
    "machine-1-7": 64,
    "machine-2-1": 125,
    "machine-2-7": 104,
    "machine-3-10": 125,
    "machine-3-2": 12,
    "machine-3-4": 21,
}
ENTITIES = {"smd": 14, "asd": 6, "msl": 14, "smap": 27, "jumpstarter": 30, "nab": 7}


def published(name: str) -> Suite:
    if not (DATA / PUBLISHED[name].name).is_dir():
        pytest.skip(f"NO REAL DATA: {DATA / PUBLISHED[name].name} is missing; set GAUGEWATCH_DATA")
    return load_suite(name, DATA)


def write(folder: Path, entity: str, *, has_label: bool = True) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    halves: dict[str, npt.NDArray[np.generic]] = {
        "train": np.random.default_rng(0).normal(size=(40, 2)),
        "test": np.ones((20, 2)),
    }
    if has_label:
        halves["label"] = np.arange(20.0) > 15
    np.savez(folder / f"{entity}.npz", allow_pickle=False, **halves)


def machine(count: int = 24_000) -> Case:
    """A machine of four coupled dimensions."""
    random = np.random.default_rng(0)
    wave = np.sin(np.arange(count) / 50)[:, None] + random.normal(size=(count, 1)) / 5
    values = wave * [1.0, 0.5, 2.0, -1.0] + random.normal(size=(count, 4)) / 5
    stamps = 60_000 * np.arange(count, dtype=np.int64)
    train = Series("machine-1", ("a", "b", "c", "d"), stamps, values, label=None, segments=())
    return Case("machine-1", train, train, is_tuning=True)


def assert_label_is_the_segments(case: Case) -> None:
    assert case.test.label is not None
    obvious = np.zeros(len(case.test.values), bool)
    for segment in case.test.segments:
        obvious[segment.start : segment.end + 1] = True
        assert segment.dimensions
    assert np.array_equal(case.test.label, obvious)


def test_smap_leaves_out_the_channel_with_two_labels(tmp_path: Path) -> None:
    for entity in ("A-1", "P-2", "T-1"):
        write(tmp_path / "SMAP", entity)
    suite = load_suite("smap", tmp_path)
    assert [case.entity for case in suite.cases] == ["A-1", "T-1"]
    assert [case.is_tuning for case in suite.cases] == [True, False]
    assert {case.vus_width for case in suite.cases} == {None}
    assert {case.period_seconds for case in suite.cases} == {60.0}


def test_a_missing_folder_and_an_unknown_suite_say_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(BadSeries, match="SMD: suite smd needs this folder of NPZ files"):
        load_suite("smd", tmp_path)
    with pytest.raises(BadSeries, match="suite smd needs"):
        load_suite("injected", tmp_path)
    with pytest.raises(BadInput, match=r"smd, asd, .*injected, came 'swat'"):
        load_suite("swat", tmp_path)


def test_a_file_without_label_is_no_case(tmp_path: Path) -> None:
    write(tmp_path / "ASD", "omi-4", has_label=False)
    with pytest.raises(BadSeries, match=r"omi-4\.npz: expected a label"):
        load_suite("asd", tmp_path)


def test_the_simulated_fleet_has_every_fault_once_per_entity(tmp_path: Path) -> None:
    suite = load_suite("simulated", tmp_path)
    assert len({case.entity for case in suite.cases}) == len(suite.cases) == 8
    for case in suite.cases:
        assert len(case.test.segments) == len(FAULT_PLANS)
        assert_label_is_the_segments(case)
        assert not np.isnan(case.train.values).any()
        assert case.test.timestamps_ms[0] - case.train.timestamps_ms[-1] == 60_000


def test_broken_relations_leave_every_value_as_it_was_somewhere(tmp_path: Path) -> None:
    suite = load_suite("relations", tmp_path)
    for case in suite.cases:
        assert_label_is_the_segments(case)
        assert len(case.test.segments) == 9
        for segment in case.test.segments:
            rows = slice(segment.start, segment.end + 1)
            for column in segment.dimensions:
                known = np.r_[case.train.values[:, column], case.test.values[:, column]]
                assert np.isin(case.test.values[rows, column], known).all()
        assert min(segment.start for segment in case.test.segments) >= 1440


@pytest.mark.slow
def test_made_suites_follow_their_seed(tmp_path: Path) -> None:
    def digest(name: str, seed: int) -> list[bytes]:
        return [case.test.values.tobytes() for case in load_suite(name, tmp_path, seed=seed).cases]

    for name in ("simulated", "relations"):
        first = digest(name, 0)
        assert first == digest(name, 0)
        assert not set(first) & set(digest(name, 1))


@pytest.mark.slow
def test_only_the_other_dimensions_give_broken_relations_away(tmp_path: Path) -> None:
    found = []
    for case in load_suite("relations", tmp_path).cases:
        label, rows = case.test.label, case.train.values
        assert label is not None
        linear = fit_linear([[rows[: len(rows) * 63 // 100]]], components=3)
        calm = clip(linear.scaling.scale(rows[len(rows) * 70 // 100 :], 1))
        test = clip(linear.scaling.scale(case.test.values, 1))

        def unusual(calm: FloatArray, test: FloatArray) -> FloatArray:
            spread = np.maximum(calm.std(axis=0), 5e-3)
            return np.asarray(((test - calm.mean(axis=0)) / spread).sum(axis=1))

        alone = unusual(np.abs(calm - np.median(calm, 0)), np.abs(test - np.median(calm, 0)))
        predict = linear.leave_one_out.predict
        others = unusual(np.abs(calm - predict(calm)), np.abs(test - predict(test)))
        found.append(
            [average_precision(label, others), average_precision(label, alone), label.mean()]
        )
    others_ap, alone_ap, ratio = np.mean(found, axis=0)
    assert others_ap > 0.6
    assert alone_ap < ratio + 0.03


def test_injected_faults_lie_in_the_rows_that_no_weight_was_fitted_to() -> None:
    case = machine()
    train = case.train
    calm = held_out(train)
    assert len(calm.values) == len(train.values) - split(24_000, preset("small")).calibration.start
    assert np.array_equal(calm.values, train.values[-len(calm.values) :])
    assert np.array_equal(calm.timestamps_ms, train.timestamps_ms[-len(calm.values) :])
    suite = injected(Suite("smd", "SMD", 60.0, (case,), "Su et al."))
    assert len(suite.cases) == len(FAULTS) * DRAWS
    assert {one.entity for one in suite.cases} == {
        f"machine-1/{f}-{d}" for f in FAULTS for d in (0, 1)
    }
    for one in suite.cases:
        assert one.train is train
        assert one.test.entity == one.fitted_as == "machine-1"
        assert one.is_tuning
        assert_label_is_the_segments(one)
        is_calm = ~one.test.label if one.test.label is not None else np.empty(0, bool)
        assert np.array_equal(one.test.values[is_calm], calm.values[is_calm])
        assert np.array_equal(one.test.timestamps_ms, calm.timestamps_ms)


def test_injection_leaves_the_machine_as_it_was() -> None:
    case = machine()
    before = case.train.values.tobytes()
    list(inject_into(case))
    assert case.train.values.tobytes() == before


@given(arrays(np.float64, st.integers(5, 60), elements=st.integers(-5, 5).map(float)))
@settings(deadline=None)
def test_autocorrelation_is_the_sum_of_lagged_products(values: FloatArray) -> None:
    deviation = values - values.mean()
    total = float(deviation @ deviation)
    obvious = [
        sum(deviation[t] * deviation[t + lag] for t in range(len(values) - lag)) / (total or 1.0)
        for lag in range(min(21, len(values)))
    ]
    if not np.ptp(values):
        obvious = [0.0] * len(obvious)
    np.testing.assert_allclose(autocorrelation(values, lags=20), obvious, atol=1e-9)


@pytest.mark.parametrize("period", [7, 25, 144, 300])
def test_width_is_the_period(period: int) -> None:
    assert abs(width(np.sin(2 * np.pi * np.arange(20_000) / period)) - period) <= 1


@pytest.mark.parametrize("period", [4, 360])
def test_width_of_a_period_out_of_bounds_is_the_default(period: int) -> None:
    assert width(np.sin(2 * np.pi * np.arange(20_000) / period + 0.1)) == 125


def test_width_without_a_period_is_the_default() -> None:
    assert width(np.full(1000, 0.3)) == 125
    assert width(np.arange(1000.0)) == 125


def test_width_looks_at_twenty_thousand_points() -> None:
    values = np.sin(np.arange(20_000) / 8)
    assert width(np.r_[values, np.full(20_000, 1e6)]) == width(values)


@pytest.mark.slow
def test_smd_has_the_widths_of_tsb_ad() -> None:
    suite = published("smd")
    widths = {case.entity: case.vus_width for case in suite.cases if case.vus_width is not None}
    assert widths == TSB_AD_WIDTHS
    assert all(width_of(case.test) == case.vus_width for case in suite.cases)


@pytest.mark.slow
@pytest.mark.parametrize("name", ENTITIES)
def test_published_suites_are_whole(name: str) -> None:
    suite = published(name)
    assert len(suite.cases) == ENTITIES[name]
    tuning = {case.entity for case in suite.cases if case.is_tuning}
    assert tuning == set(PUBLISHED[name].tuning)
    for case in suite.cases:
        assert case.train.label is None
        assert case.test.label is not None
        assert 0 < case.test.label.mean() < 0.6  # half of MSL M-2
        assert bool(case.test.segments) == (name in {"smd", "asd"})
        assert case.entity == case.train.entity == case.test.entity
        assert case.train.dimensions == case.test.dimensions


@pytest.mark.slow
def test_every_machine_takes_every_fault() -> None:
    machines = published("smd")
    for case in machines.cases:
        for one in inject_into(case):
            assert_label_is_the_segments(one)
            assert len(one.test.segments) == 12


def test_suites_are_named_in_order() -> None:
    assert (*ENTITIES, "simulated", "relations", "injected") == SUITES
