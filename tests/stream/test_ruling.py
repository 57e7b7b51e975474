"""Policies at work: what opens, what does not, and that scores stay what they are."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from service.scoring.bundle import load_bundle
from service.scoring.fold import Fold
from service.scoring.rules import PLAIN
from service.stream.hearing import Listeners
from service.stream.incident_messages import Wanted
from service.stream.incidents import Incidents
from service.stream.ingest import Ingest
from service.stream.messages import Point, Verdict
from service.stream.policy import (
    UNSAID,
    DimensionPolicy,
    Maintenance,
    Patterned,
    Policies,
    Policy,
)
from service.stream.replay import packed_file, read_file, replay
from service.stream.ruling import ruling_of
from service.stream.store import Store, StoreOptions
from tests.builders import ENTITIES, PERIOD_MS, START_MS
from tests.stream.test_lateness import Told, points_like, with_policies

FAULT_FROM, COUNT = 60, 90


@pytest.fixture
def store(redis_url: str) -> Iterator[Store]:
    with closing(Store(redis_url, StoreOptions(durability="everysec", shards=2))) as store:
        store.check()
        yield store


async def run(
    store: Store, folder: Path, policies: Policies, points: list[Point] | None = None
) -> tuple[list[Verdict], Told]:
    store.delete([*ENTITIES, "newcomer"])
    told = Told()
    models = with_policies(folder, policies)
    async with Ingest(store, models, listeners=Listeners(on_told=told)) as ingest:
        return await ingest.submit(
            points or points_like("alpha", COUNT, fault_from=FAULT_FROM)
        ), told


def opened(verdicts: list[Verdict]) -> list[int]:
    return [row for row, verdict in enumerate(verdicts) if verdict.transition == "opened"]


def numbers(verdicts: list[Verdict]) -> list[tuple[object, ...]]:
    return [(v.status, v.score, v.severity, v.is_anomaly, v.contributions) for v in verdicts]


def test_what_nobody_says_is_what_the_fold_does_anyway(fold: Fold) -> None:
    ruling = ruling_of(Policies(), ["alpha"], fold.bundle.manifest)
    assert ruling.rules(np.array([0]), np.array([0])) is PLAIN
    said = ruling_of(Policies(default=UNSAID), ["alpha"], fold.bundle.manifest)
    rules = said.rules(np.array([0]), np.array([0]))
    for name in ("open_count", "open_window", "resolve_after", "resolve_below", "cool_down_ms"):
        assert getattr(rules, name).tolist() == [getattr(PLAIN, name).item()]


def test_entities_share_a_policy_and_are_looked_up_only_where_they_may_differ(fold: Fold) -> None:
    names, manifest = ["alpha", "beta", "gamma"], fold.bundle.manifest
    strict = Policy(open_count=2)
    alike = ruling_of(Policies(default=strict), names, manifest)
    assert (len(alike.distinct), alike.index.tolist()) == (1, [0, 0, 0])
    assert alike.policy(2).open_count == 2
    some = ruling_of(Policies(patterns=(Patterned("b*", strict),)), names, manifest)
    assert [some.policy(number).open_count for number in range(3)] == [None, 2, None]
    assert len(some.distinct) == 2


async def test_k_of_n_opens_later_and_changes_no_score(store: Store, bundle_folder: Path) -> None:
    plain, _ = await run(store, bundle_folder, Policies())
    late, _ = await run(store, bundle_folder, Policies(default=Policy(open_count=3, open_window=5)))
    assert numbers(plain) == numbers(late)
    flags = [verdict.is_anomaly for verdict in plain]
    third = [row for row in range(FAULT_FROM, COUNT) if sum(flags[row - 4 : row + 1]) >= 3]
    assert opened(plain)[0] == FAULT_FROM
    assert opened(late)[0] == third[0]


async def test_nothing_opens_while_muted_or_in_maintenance_and_scoring_goes_on(
    store: Store, bundle_folder: Path
) -> None:
    plain, _ = await run(store, bundle_folder, Policies())
    end_ms = START_MS + (FAULT_FROM + 3) * PERIOD_MS
    for policy in (
        Policy(muted_until_ms=end_ms),
        Policy(maintenance=(Maintenance(START_MS, end_ms),)),
    ):
        own, _ = await run(store, bundle_folder, Policies(entities={"alpha": policy}))
        assert numbers(own) == numbers(plain)
        assert opened(own)[0] == FAULT_FROM + 3


async def test_deviations_that_nobody_asked_for_open_nothing(
    store: Store, bundle_folder: Path
) -> None:
    """The fault raises `b` by five."""
    for dimensions, is_told in (
        ({"b": DimensionPolicy(direction="up")}, True),
        ({"b": DimensionPolicy(direction="down")}, False),
        ({"b": DimensionPolicy(min_deviation=50.0)}, False),
        ({"a": DimensionPolicy(direction="none")}, True),
    ):
        policy = Policy(dimensions=dimensions)
        verdicts, _ = await run(store, bundle_folder, Policies(default=policy))
        assert (FAULT_FROM in opened(verdicts)) is is_told, dimensions
        assert verdicts[FAULT_FROM].is_anomaly


async def test_a_budget_moves_the_threshold_of_its_entities_alone(
    store: Store, bundle_folder: Path, fold: Fold
) -> None:
    both = [*points_like("alpha", COUNT, fault_from=FAULT_FROM), *points_like("beta", COUNT)]
    plain, _ = await run(store, bundle_folder, Policies(), both)
    patterns = (Patterned("al*", Policy(budget=0.01)),)
    strict, _ = await run(store, bundle_folder, Policies(patterns=patterns), both)
    strict_fold = Fold(load_bundle(bundle_folder / "tiny"), budget=0.01)
    index = np.array([fold.bundle.entity_indices["alpha"]])
    ratio = fold.decider.thresholds(index, PLAIN) / strict_fold.decider.thresholds(index, PLAIN)
    for one, other in zip(plain, strict, strict=True):
        if one.score is None or one.entity == "beta":
            assert one.score == other.score
        else:
            assert other.score == pytest.approx(one.score * float(ratio[0]), rel=1e-12)


async def test_an_entity_without_calibration_alerts_if_its_policy_says_so(
    store: Store, bundle_folder: Path
) -> None:
    points = points_like("newcomer", COUNT, fault_from=FAULT_FROM)
    for policy in (Policy(), Policy(alert_while_calibrating=True)):
        verdicts, told = await run(store, bundle_folder, Policies(default=policy), points)
        assert verdicts[-1].status == "calibrating"
        assert bool(told.alerts) is bool(policy.alert_while_calibrating)
        named = {verdict.incident for verdict in verdicts} - {None}
        assert named == {alert.incident for alert in told.alerts}
        assert len(opened(verdicts)) == len(named)


async def test_an_incident_under_a_policy_is_replayed_bit_for_bit(
    store: Store, bundle_folder: Path, fold: Fold, tmp_path: Path
) -> None:
    policy = Policy(budget=1.0, open_count=2, open_window=3, resolve_after=2)
    await run(store, bundle_folder, Policies(default=policy))
    incidents = Incidents(store)
    kept = incidents.page(Wanted(entity="alpha"), limit=9, after=None).incidents
    assert kept
    for one in kept:
        path = tmp_path / "incident.npz"
        path.write_bytes(packed_file(incidents.record(one.incident)))
        replayed = replay(read_file(path), fold)
        assert len(replayed.kept) > 0
        assert replayed.differing == []


async def test_what_a_person_calls_normal_ends_and_is_learned(
    store: Store, bundle_folder: Path
) -> None:
    points, told = points_like("alpha", 200), Told()
    for point in points[100:]:
        assert isinstance(point.values, list)
        point.values[1] = (point.values[1] or 0.0) + 3.0
    models = with_policies(bundle_folder, Policies())
    async with Ingest(store, models, listeners=Listeners(on_told=told)) as ingest:
        *_, last = await ingest.submit(points[:110])
        assert last.incident is not None
        await ingest.accept("alpha", last.incident)
        assert [(a.kind, a.reason) for a in told.alerts][-1] == ("resolved", "new_normal")
        after = await ingest.submit(points[110:])
    assert sum(verdict.is_anomaly for verdict in after[60:]) <= 2
    assert after[-1].incident is None


async def test_hysteresis_goes_on_after_a_restart_and_is_replayed(
    store: Store, bundle_folder: Path, fold: Fold, tmp_path: Path
) -> None:
    """Live, and restored before every request, under rules that hold an incident open."""
    policies = Policies(default=Policy(resolve_below=0.05, resolve_after=4))
    points = points_like("alpha", 120, fault_from=FAULT_FROM)
    plain, _ = await run(store, bundle_folder, policies, points)
    store.delete(["alpha"])
    restored = list[Verdict]()
    for start in range(0, len(points), 7):
        models = with_policies(bundle_folder, policies)
        async with Ingest(store, models) as ingest:
            restored += await ingest.submit(points[start : start + 7])
    assert restored == plain
    assert sum(verdict.incident is not None for verdict in plain) > 12
    assert_replayed(Incidents(store), fold, tmp_path, is_redecided=True)


async def test_a_policy_that_changes_while_an_incident_is_open_changes_nothing_told(
    store: Store, bundle_folder: Path, fold: Fold, tmp_path: Path
) -> None:
    points = points_like("alpha", 120, fault_from=FAULT_FROM)
    for count, policy in ((64, Policy()), (120, Policy(resolve_after=9, budget=0.1))):
        models = with_policies(bundle_folder, Policies(default=policy))
        async with Ingest(store, models) as ingest:
            await ingest.submit(points[count - (64 if count == 64 else 56) : count])
    assert_replayed(Incidents(store), fold, tmp_path, is_redecided=False)


def assert_replayed(incidents: Incidents, fold: Fold, folder: Path, *, is_redecided: bool) -> None:
    """The first incident of the fault comes out as it was kept."""
    kept = incidents.page(Wanted(entity="alpha"), limit=99, after=None).incidents
    one = next(one for one in kept if one.opened_ms == START_MS + FAULT_FROM * PERIOD_MS)
    path = folder / "incident.npz"
    path.write_bytes(packed_file(incidents.record(one.incident)))
    replayed = replay(read_file(path), fold)
    assert (replayed.differing, replayed.is_redecided) == ([], is_redecided)


async def test_who_was_told_of_an_incident_is_told_of_its_end(
    store: Store, bundle_folder: Path
) -> None:
    """Although its entity may not alert any more."""
    points, told = points_like("newcomer", COUNT, fault_from=FAULT_FROM), Told()
    for policy, span in (
        (Policy(alert_while_calibrating=True), slice(0, 63)),
        (Policy(), slice(63, COUNT)),
    ):
        models = with_policies(bundle_folder, Policies(default=policy))
        async with Ingest(store, models, listeners=Listeners(on_told=told)) as ingest:
            await ingest.submit(points[span])
    opened = {alert.incident for alert in told.alerts if alert.kind == "opened"}
    resolved = {alert.incident for alert in told.alerts if alert.kind == "resolved"}
    assert opened == resolved != set()


async def test_a_label_on_an_older_incident_changes_nothing(
    store: Store, bundle_folder: Path
) -> None:
    points, told = points_like("alpha", COUNT, fault_from=FAULT_FROM), Told()
    models = with_policies(bundle_folder, Policies())
    async with Ingest(store, models, listeners=Listeners(on_told=told)) as ingest:
        *_, last = await ingest.submit(points[: FAULT_FROM + 3])
        assert last.incident is not None
        before = len(told.alerts)
        await ingest.accept("alpha", f"alpha@{START_MS}")
        assert len(told.alerts) == before


async def test_what_is_open_of_a_deleted_entity_is_told_to_end(
    store: Store, bundle_folder: Path
) -> None:
    points, told = points_like("alpha", COUNT, fault_from=FAULT_FROM), Told()
    models = with_policies(bundle_folder, Policies())
    async with Ingest(store, models, listeners=Listeners(on_told=told)) as ingest:
        *_, last = await ingest.submit(points[: FAULT_FROM + 3])
        await ingest.forget("alpha")
    end = told.alerts[-1]
    assert (end.incident, end.kind, end.reason) == (last.incident, "resolved", "abandoned")
