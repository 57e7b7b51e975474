from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from service.errors import TrainingFailed
from service.scoring.bundle import Bundle, load_bundle
from service.scoring.calibration import CAP, CONSTANT_CAP, Calibration
from service.scoring.fold import Fold
from service.scoring.offline import score_series
from service.scoring.series import Series
from tests.builders import loaded_tiny_bundle, series_like
from trainer.recalibrate import Wish, recalibrate


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return loaded_tiny_bundle(tmp_path / "old")


def lifted(entity: str, count: int = 700, *, by: float = 50.0, seed: int = 21) -> Series:
    """A series like those trained on, at another level."""
    one = series_like(entity, count, seed=seed)
    return replace(one, values=one.values + by)


def again(bundle: Bundle, *series: Series, wish: Wish = Wish()) -> Bundle:  # noqa: B008
    return recalibrate(bundle, series, bundle.folder.parent.parent, wish=wish)


def rows(calibration: Calibration, index: int) -> list[list[float]]:
    names = [field.name for field in fields(Calibration)]
    return [getattr(calibration, name)[index].ravel().tolist() for name in names]


def flagged(bundle: Bundle, series: Series) -> float:
    [scored] = score_series(Fold(bundle), [series])
    return float(scored.is_anomaly.mean())


def test_a_new_version_of_the_same_graphs_is_the_current_one(bundle: Bundle) -> None:
    new = again(bundle, lifted("alpha"), lifted("beta"))
    assert load_bundle(bundle.folder.parent).title == new.title
    assert new.manifest.version != bundle.manifest.version
    assert (new.manifest.step, new.manifest.window) == (
        bundle.manifest.step,
        bundle.manifest.window,
    )
    assert new.manifest.training["recalibrated_from"] == bundle.manifest.version
    assert new.manifest.supported_p < 1 / 500
    assert load_bundle(bundle.folder).calibration.center.tolist() == (
        bundle.calibration.center.tolist()
    )


def test_another_level_is_normal_afterwards(bundle: Bundle) -> None:
    unseen = lifted("alpha", seed=22)
    new = again(bundle, lifted("alpha"), lifted("beta"))
    assert flagged(bundle, unseen) > 0.02
    assert flagged(new, unseen) < 0.01
    [scored] = score_series(Fold(new), [unseen])
    assert np.nanmean(scored.expected) == pytest.approx(50.0, abs=1.0)


def test_a_fault_stays_a_fault(bundle: Bundle) -> None:
    new = again(bundle, lifted("alpha"), lifted("beta"))
    faulty = lifted("alpha", seed=22)
    faulty.values[300:310, 2] += 5.0
    [scored] = score_series(Fold(new), [faulty])
    assert scored.is_anomaly[300:310].any()


def test_the_centre_can_be_kept(bundle: Bundle) -> None:
    new = again(bundle, lifted("alpha"), lifted("beta"), wish=Wish(keeps_center=True))
    assert new.calibration.center.tolist() == bundle.calibration.center.tolist()
    assert new.calibration.seed.tolist() != bundle.calibration.seed.tolist()


def test_an_entity_without_points_and_the_pooled_row_stay_as_they_were(bundle: Bundle) -> None:
    new = again(bundle, lifted("alpha"))
    for index, is_same in enumerate((True, False, True)):
        same = rows(new.calibration, index) == rows(bundle.calibration, index)
        assert same == is_same, index
    assert new.manifest.supported_p >= bundle.manifest.supported_p


def test_a_new_entity_is_fitted_into_the_pooled_row(bundle: Bundle) -> None:
    new = again(bundle, lifted("gamma"))
    assert new.manifest.entities == bundle.manifest.entities
    assert rows(new.calibration, 0) != rows(bundle.calibration, 0)
    assert rows(new.calibration, 1) == rows(bundle.calibration, 1)
    unseen = lifted("gamma", seed=22)
    assert flagged(bundle, unseen) > flagged(new, unseen)
    assert flagged(new, unseen) < 0.01


def test_the_budget_may_change_as_well(bundle: Bundle) -> None:
    new = again(bundle, lifted("alpha"), wish=Wish(budget=0.25))
    assert new.manifest.default_budget == 0.25
    assert again(bundle, lifted("alpha")).manifest.default_budget == bundle.manifest.default_budget


def test_the_same_points_give_the_same_version(bundle: Bundle) -> None:
    first = again(bundle, lifted("alpha"))
    assert again(bundle, lifted("alpha")).title == first.title


def test_a_constant_that_moves_is_none_any_more_and_a_switch_stays_where_it_is(
    bundle: Bundle,
) -> None:
    old = bundle.calibration
    is_constant, cap = old.is_constant.copy(), np.full_like(old.cap, CAP)
    is_constant[1, 0], cap[1, 0], cap[1, 3] = True, CONSTANT_CAP, 6.0
    odd = replace(bundle, calibration=replace(old, is_constant=is_constant, cap=cap))
    new = again(odd, lifted("alpha")).calibration
    assert not new.is_constant[1, 0]
    assert new.cap[1, [0, 3]].tolist() == [CAP, 6.0]
    assert new.center[1, 3] == old.center[1, 3]
    assert new.center[1, 1] == pytest.approx(old.center[1, 1] + 50.0, abs=0.5)


def test_missing_values_are_no_hindrance(bundle: Bundle) -> None:
    one = lifted("alpha")
    one.values[::5, 1], one.values[:, 2] = np.nan, np.nan
    new = again(bundle, one)
    assert new.calibration.center[1, 2] == bundle.calibration.center[1, 2]


def test_too_few_points_are_refused_by_name(bundle: Bundle) -> None:
    with pytest.raises(TrainingFailed, match="64 held-out points per entity; alpha has"):
        again(bundle, lifted("alpha", 60))
    with pytest.raises(TrainingFailed, match="an unknown entity has"):
        again(bundle, lifted("gamma", 60))
