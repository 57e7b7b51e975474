from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from service.scoring.bundle import Bundle
from service.scoring.fold import Fold, Points
from service.scoring.offline import Scored, score_series
from service.scoring.series import Series
from tests.trainer import small
from trainer.benchmark.fleet import fleet_of, score_fleet
from trainer.build import build_bundle
from trainer.fit import fit

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

LEVELS = {"alpha": 0.0, "beta": 4.0, "gamma-long": -3.0}
OTHER = "delta/other"  # a bundle of another kind
ARRAYS = ("score", "severity", "p_value", "is_anomaly", "status", "contribution", "expected")


def built(folder: Path, entity: str, level: float, **changes: object) -> Bundle:
    config = small.tiny("linear", **changes)
    fitted = fit([small.series(entity, level=level, count=700)], config)
    return build_bundle(fitted, folder / entity, name="linear", period_seconds=60.0)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Bundle]:
    folder = tmp_path_factory.mktemp("fleet")
    own = {entity: built(folder, entity, level) for entity, level in LEVELS.items()}
    return {**own, OTHER: built(folder, OTHER, 0.0, members=("raw", "pca"))}


def faulty(entity: str, *, count: int, seed: int) -> Series:
    """Faults, missing values, and a level that becomes the new normal."""
    one = small.series(entity, level=LEVELS.get(entity, 0.0), count=count)
    random = np.random.default_rng(seed)
    values = one.values + 0.02 * random.normal(size=one.values.shape)
    values[20:24, seed % 6] += 5.0
    values[60:75, 3] = np.nan
    values[110:, 1] += 2.0
    return replace(one, values=values)


def alone(bundle: Bundle, series: Series) -> Scored:
    return score_series(Fold(bundle), [series])[0]


def assert_same(found: Scored, expected: Scored) -> None:
    for name in ARRAYS:
        assert getattr(found, name).tobytes() == getattr(expected, name).tobytes(), name
    assert len(found.told) == len(expected.told) > 0
    for one, other in zip(found.told, expected.told, strict=True):
        assert (one.row, one.transition) == (other.row, other.transition)
        assert one.incident.tobytes() == other.incident.tobytes()


def test_a_fleet_scores_as_each_of_its_bundles_alone(bundles: dict[str, Bundle]) -> None:
    entities = ["gamma-long", "alpha", "beta", "alpha"]  # one entity twice, at the same time
    series = [
        faulty(entity, count=260 - 30 * number, seed=number)
        for number, entity in enumerate(entities)
    ]
    heard: list[int] = []
    scored = score_fleet(bundles, series, on_point=heard.append)
    for one, found in zip(series, scored, strict=True):
        assert_same(found, alone(bundles[one.entity], one))
    assert sum(heard) == sum(len(one.values) for one in series)
    assert len(heard) == max(len(one.values) for one in series)  # side by side


def test_bundles_of_different_kinds_are_scored_apart(bundles: dict[str, Bundle]) -> None:
    entities = [OTHER, "beta", OTHER, "alpha"]
    series = [faulty(entity, count=150, seed=seed) for seed, entity in enumerate(entities)]
    heard: list[int] = []
    scored = score_fleet(bundles, series, on_point=heard.append)
    for one, found in zip(series, scored, strict=True):
        assert_same(found, alone(bundles[one.entity], one))
    assert heard == [2] * 300


def test_another_budget_is_another_kind(bundles: dict[str, Bundle]) -> None:
    alpha, beta = bundles["alpha"], bundles["beta"]
    eager = replace(beta, manifest=beta.manifest.model_copy(update={"default_budget": 40.0}))
    series = [faulty("alpha", count=150, seed=1), faulty("beta", count=150, seed=2)]
    scored = score_fleet({"alpha": alpha, "beta": eager}, series)
    assert_same(scored[0], alone(alpha, series[0]))
    assert_same(scored[1], alone(eager, series[1]))
    assert not np.array_equal(scored[1].score, alone(beta, series[1]).score, equal_nan=True)


def test_a_fleet_knows_each_entity_by_its_place(bundles: dict[str, Bundle]) -> None:
    members = [bundles[entity] for entity in LEVELS]
    fold = fleet_of(members, budget=7.0)
    assert fold.bundle.entity_indices == {"alpha": 1, "beta": 2, "gamma-long": 3}
    assert fold.budget == 7.0
    index = np.array([3, 1, 2, 1])
    rows = np.stack(
        [small.series(count=4, level=LEVELS[[*LEVELS][i - 1]]).values[0] for i in index]
    )
    points = Points(index, np.zeros(4, np.int64), fold.centre(rows, index))
    states, _ = fold.step(fold.fresh(index), points)
    for place, member in enumerate(index):
        own = Fold(members[member - 1], budget=7.0)
        one = np.ones(1, np.int64)
        point = Points(one, np.zeros(1, np.int64), own.centre(rows[[place]], one))
        state, _ = own.step(own.fresh(one), point)
        assert state.tobytes() == states[[place]].tobytes()
