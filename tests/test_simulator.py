import csv
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings, strategies as st

from service.scoring.series import Segment, read_folder, read_series
from service.simulator import (
    DIMENSION_NAMES,
    FAULT_PLANS,
    FaultKind,
    FleetConfig,
    SimulatedEntity,
    simulate_fleet,
    write_csv,
    write_npz,
)

Vector = npt.NDArray[np.float64]
SMALL = FleetConfig(entities=2, train_points=2880, test_points=1440)


def one(kind: FaultKind, *, seed: int = 0, faults: int = 3) -> SimulatedEntity:
    config = replace(SMALL, entities=1, seed=seed, fault_kinds=(kind,), faults_per_entity=faults)
    return simulate_fleet(config)[0]


def without_faults(seed: int = 0) -> SimulatedEntity:
    return simulate_fleet(replace(SMALL, entities=1, seed=seed, faults_per_entity=0))[0]


def test_equal_seeds_give_equal_fleets() -> None:
    for left, right in zip(simulate_fleet(SMALL), simulate_fleet(SMALL), strict=True):
        np.testing.assert_array_equal(left.train, right.train)
        np.testing.assert_array_equal(left.test, right.test)
        assert left.faults == right.faults
        assert left.faults


def test_entities_differ_and_have_names() -> None:
    left, right = simulate_fleet(SMALL)
    assert (left.name, right.name) == ("node-01", "node-02")
    assert left.dimensions == DIMENSION_NAMES
    assert len(set(DIMENSION_NAMES)) == len(DIMENSION_NAMES) == 24
    assert (left.train.mean(axis=0) != right.train.mean(axis=0)).all()


def test_a_fleet_grows_without_changing_its_first_entities() -> None:
    small, large = simulate_fleet(SMALL), simulate_fleet(replace(SMALL, entities=3))
    for left, right in zip(small, large[:2], strict=True):
        np.testing.assert_array_equal(left.test, right.test)


def test_another_seed_continues_the_same_fleet() -> None:
    later = SMALL.start_timestamp_ms + 7 * 86_400_000
    now = without_faults()
    then = simulate_fleet(
        replace(SMALL, entities=1, seed=1, faults_per_entity=0, start_timestamp_ms=later)
    )[0]
    other = simulate_fleet(replace(SMALL, entities=1, fleet_seed=1, faults_per_entity=0))[0]
    assert then.train_timestamps_ms[0] == later
    assert not np.array_equal(now.train, then.train)
    constant = DIMENSION_NAMES.index("memory_total")
    assert now.train[0, constant] == then.train[0, constant] != other.train[0, constant]
    moving = np.arange(24) != constant
    level = np.median(now.train, axis=0)[moving]
    drift = np.abs(np.median(then.train, axis=0)[moving] / level - 1)
    assert drift.max() < 0.35
    assert drift.mean() < 0.2


def test_values_are_possible_correlated_and_one_is_constant() -> None:
    entity = without_faults()
    values = dict(zip(DIMENSION_NAMES, entity.train.T, strict=True))
    assert (entity.train >= 0).all()
    assert values["cpu_user"].max() <= 100
    assert values["cache_hit_ratio"].max() <= 1
    assert [name for name, column in values.items() if column.std() == 0] == ["memory_total"]
    assert values["net_out_bytes"].max() > 1e8
    assert np.corrcoef(values["cpu_user"], values["requests_per_second"])[0, 1] > 0.9
    assert np.corrcoef(values["temperature_c"], values["cpu_user"])[0, 1] > 0.8
    skewed = values["errors_per_second"]
    assert skewed.mean() > 1.2 * np.median(skewed)


def test_timestamps_run_through_both_parts() -> None:
    entity = simulate_fleet(replace(SMALL, period_seconds=0.5))[0]
    both = np.concatenate([entity.train_timestamps_ms, entity.test_timestamps_ms])
    assert both[0] == SMALL.start_timestamp_ms
    assert set(np.diff(both).tolist()) == {500}


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 2**31), faults=st.integers(0, 4))
def test_labels_are_the_union_of_quiet_separated_faults(seed: int, faults: int) -> None:
    config = replace(SMALL, entities=1, train_points=1440, seed=seed, faults_per_entity=faults)
    entity = simulate_fleet(config)[0]
    union = np.zeros(config.test_points, np.bool_)
    free_from = config.warm_up_points
    for fault in entity.faults:
        assert fault.start >= free_from
        free_from = fault.end + 1 + config.quiet_points
        union[fault.start : fault.end + 1] = True
        plan = FAULT_PLANS[fault.kind]
        assert plan.shortest <= fault.end - fault.start + 1 <= plan.longest
        assert plan.weakest <= fault.magnitude <= plan.strongest
        assert fault.names == tuple(DIMENSION_NAMES[index] for index in fault.dimensions)
    assert free_from <= config.test_points
    assert len(entity.faults) == faults
    np.testing.assert_array_equal(entity.label, union)


def test_every_kind_comes_once_before_any_comes_again() -> None:
    config = replace(SMALL, faults_per_entity=len(FAULT_PLANS), test_points=2000)
    for entity in simulate_fleet(config):
        assert {fault.kind for fault in entity.faults} == set(FAULT_PLANS)


@pytest.mark.parametrize("kind", FAULT_PLANS)
def test_a_fault_changes_its_guilty_dimensions_and_nothing_else(kind: FaultKind) -> None:
    healthy, struck = without_faults(), one(kind)
    np.testing.assert_array_equal(struck.train, healthy.train)
    changed = ~np.isclose(struck.test, healthy.test, rtol=0, atol=0)
    allowed = np.zeros_like(changed)
    for fault in struck.faults:
        inside = np.ix_(range(fault.start, fault.end + 1), fault.dimensions)
        allowed[inside] = True
        assert changed[inside].mean(axis=0).min() > 0.5
    assert not (changed & ~allowed).any()


def test_a_spike_towers_over_the_residual() -> None:
    healthy, struck = without_faults(), one("spike")
    for fault in struck.faults:
        for column in fault.dimensions:
            rows = slice(fault.start, fault.end + 1)
            jump = np.abs(struck.test[rows, column] - healthy.test[rows, column]).min()
            assert jump > 5 * np.std(np.diff(healthy.train[:, column])) / 2


def test_a_leak_grows_and_ends_at_its_magnitude() -> None:
    healthy, struck = without_faults(), one("slow_leak")
    for fault in struck.faults:
        rows = slice(fault.start, fault.end + 1)
        for column in fault.dimensions:
            added = np.abs(struck.test[rows, column] - healthy.test[rows, column])
            third = len(added) // 3
            assert added[:third].mean() < added[third : 2 * third].mean() < added[-third:].mean()


def test_stuck_values_repeat_the_last_and_lost_ones_are_missing() -> None:
    stuck, lost = one("stuck_value"), one("lost_dimension")
    for fault in stuck.faults:
        stretch = stuck.test[fault.start - 1 : fault.end + 1, fault.dimensions]
        assert (stretch == stretch[0]).all()
    for fault in lost.faults:
        assert np.isnan(lost.test[fault.start : fault.end + 1, fault.dimensions]).all()
    assert np.isnan(lost.test).sum() == sum(
        (fault.end - fault.start + 1) * len(fault.dimensions) for fault in lost.faults
    )


def test_a_variance_change_widens_the_residual() -> None:
    healthy, struck = without_faults(), one("variance_change")
    for fault in struck.faults:
        rows = slice(fault.start, fault.end + 1)
        for column in fault.dimensions:
            before = np.diff(healthy.test[rows, column]).std()
            assert np.diff(struck.test[rows, column]).std() > 1.5 * before


@pytest.mark.parametrize("seed", range(6))
def test_a_broken_correlation_stays_in_range_but_leaves_its_partners(seed: int) -> None:
    healthy, struck = without_faults(seed), one("broken_correlation", seed=seed)
    for fault in struck.faults:
        rows = slice(fault.start, fault.end + 1)
        others = [i for i in range(24) if i not in fault.dimensions]
        scale = healthy.train[:, others].max(axis=0)
        for column in fault.dimensions:
            past, now = healthy.train[:, column], struck.test[rows, column]
            assert past.min() <= now.min()
            assert now.max() <= past.max()
            weights: Vector = np.linalg.lstsq(healthy.train[:, others] / scale, past)[0]
            predicted = struck.test[rows][:, others] / scale @ weights
            usual = np.abs(healthy.test[rows, column] - predicted).mean()
            assert np.abs(now - predicted).mean() > 3 * usual


def test_a_broken_correlation_no_longer_follows_its_closest_partner() -> None:
    before: list[float] = []
    after: list[float] = []
    for seed in range(6):
        healthy, struck = without_faults(seed), one("broken_correlation", seed=seed)
        for fault in struck.faults:
            rows, column = slice(fault.start, fault.end + 1), fault.dimensions[0]
            partner = closest_partner(healthy.train, column, apart=fault.dimensions)
            for part, found in ((healthy.test, before), (struck.test, after)):
                found.append(abs(correlation(part[rows, column], part[rows, partner])))
    assert np.median(after) < 0.6 * np.median(before)


def closest_partner(train: Vector, column: int, *, apart: Sequence[int]) -> int:
    moving = [i for i in range(24) if i not in apart and train[:, i].std() > 0]
    return max(moving, key=lambda i: abs(correlation(train[:, column], train[:, i])))


def correlation(left: Vector, right: Vector) -> float:
    return float(np.mean((left - left.mean()) * (right - right.mean()) / left.std() / right.std()))


def test_a_stretch_without_training_part_can_be_streamed() -> None:
    config = replace(SMALL, train_points=0, fault_kinds=("broken_correlation",))
    entity = simulate_fleet(config)[0]
    assert entity.train.shape == (0, 24)
    assert len(entity.faults) == config.faults_per_entity


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"entities": 0}, "expected entities >= 1, came 0"),
        ({"warm_up_points": 0}, "expected warm_up_points >= 1"),
        ({"period_seconds": 0.0}, "expected period_seconds > 0"),
        ({"fault_kinds": ("fire",)}, "expected kinds of"),
        ({"test_points": 200}, r"expected at least \d+ test_points for 4 faults"),
    ],
)
def test_what_cannot_be_simulated_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        simulate_fleet(FleetConfig(**({"entities": 1} | changes)))  # type: ignore[arg-type]


def test_npz_files_come_back_as_they_were(tmp_path: Path) -> None:
    fleet = simulate_fleet(replace(SMALL, fault_kinds=("lost_dimension", "spike")))
    paths = write_npz(fleet, tmp_path / "fleet")
    assert [path.name for path in paths] == ["node-01.npz", "node-02.npz"]
    for entity, test in zip(fleet, read_folder(tmp_path / "fleet"), strict=True):
        train = read_series(tmp_path / "fleet" / f"{entity.name}.npz", part="train")
        np.testing.assert_array_equal(train.values, entity.train)
        np.testing.assert_array_equal(train.timestamps_ms, entity.train_timestamps_ms)
        np.testing.assert_array_equal(test.values, entity.test)
        np.testing.assert_array_equal(test.timestamps_ms, entity.test_timestamps_ms)
        np.testing.assert_array_equal(test.label, entity.label)
        assert test.dimensions == entity.dimensions
        assert test.segments == tuple(
            Segment(fault.start, fault.end, fault.dimensions) for fault in entity.faults
        )
    with np.load(paths[0]) as archive:
        faults = json.loads(str(archive["faults"]))
    assert [fault["kind"] for fault in faults] == [fault.kind for fault in fleet[0].faults]


def test_csv_files_come_back_as_they_were(tmp_path: Path) -> None:
    fleet = simulate_fleet(replace(SMALL, period_seconds=0.25))
    write_csv(fleet, tmp_path)
    for entity, test in zip(fleet, read_folder(tmp_path), strict=True):
        np.testing.assert_array_equal(test.values, entity.test)
        np.testing.assert_array_equal(test.timestamps_ms, entity.test_timestamps_ms)
        np.testing.assert_array_equal(test.label, entity.label)
        assert test.segments == tuple(
            Segment(fault.start, fault.end, fault.dimensions) for fault in entity.faults
        )
    (path, *_) = write_csv(fleet, tmp_path / "train", part="train")
    train = read_series(path)
    np.testing.assert_array_equal(train.values, fleet[0].train)
    assert train.label is not None
    assert not train.label.any()
    with path.open(newline="") as file:
        assert next(csv.reader(file)) == ["timestamp", *DIMENSION_NAMES, "label", "culprits"]
