"""Whatever an alert says, it says why: causes with value, expected value, band and share."""

from collections.abc import Iterator

import msgspec
import numpy as np
import pytest

from service.scoring.fold import Fold, Points, Verdicts
from service.scoring.incident import Transition
from service.scoring.series import Series
from service.stream.explain import alert_of, in_words
from service.stream.messages import Alert
from service.stream.reader import Reader
from service.stream.rows import pack, row_dtype
from tests.builders import DIMENSIONS, ENTITIES, PERIOD_MS, START_MS, series_like

Told = tuple[Alert, Verdicts]


def eventful(entity: str) -> Series:
    """A fault that grows and ends, a dimension that is lost, and a shift that stays."""
    series = series_like(entity, 640, seed=1)
    series.values[100:130, 1] += np.repeat([0.6, 1.5, 4.0], 10)
    series.values[200:215, 2] = np.nan
    series.values[300:, 3] += np.linspace(5.0, 60.0, 340) * np.sin(np.arange(340))
    return series


def alerts_of(fold: Fold, series: Series) -> Iterator[Told]:
    """Every alert of a series, with the verdicts it was made from."""
    index = np.array([fold.bundle.entity_indices[series.entity]])
    reader, states = Reader(fold), fold.fresh(index)
    for stamp, values in zip(series.timestamps_ms, series.values, strict=True):
        points = Points(index, np.array([stamp]), fold.centre(values[None], index))
        states, verdicts = fold.step(states, points)
        if not verdicts.transition[0]:
            continue
        rows = np.zeros(1, row_dtype(fold))
        pack(rows, points, verdicts, fold=fold)
        alert = alert_of(reader, series.entity, verdicts, position=0, rows=rows)
        yield msgspec.json.decode(alert, type=Alert), verdicts


@pytest.fixture(scope="module", params=ENTITIES)
def told(fold: Fold, request: pytest.FixtureRequest) -> list[Told]:
    return list(alerts_of(fold, eventful(request.param)))


def test_the_series_brings_every_kind_of_alert(told: list[Told]) -> None:
    assert {alert.kind for alert, _ in told} == {"opened", "updated", "resolved"}
    reasons = {"anomaly", "lost_dimension", "quiet", "new_normal"}
    assert {alert.reason for alert, _ in told} == reasons


def test_every_alert_has_causes_with_value_expected_band_and_share(
    fold: Fold, told: list[Told]
) -> None:
    bundle = fold.bundle
    for alert, verdicts in told:
        band = bundle.calibration.band[bundle.entity_indices[alert.entity]]
        assert alert.causes, alert.id
        shares = [cause.share for cause in alert.causes]
        assert shares == sorted(shares, reverse=True)
        assert 0 < shares[-1] <= sum(shares) <= 1 + 1e-6
        for cause in alert.causes:
            d = DIMENSIONS.index(cause.dimension)
            assert cause.expected == pytest.approx(verdicts.expected[0, d], rel=1e-5, abs=1e-5)
            assert cause.band == pytest.approx(band[d], rel=1e-5)
            assert (cause.value is None) == bool(verdicts.missing[0, d])
            assert in_words(cause) in alert.summary or cause in alert.causes[3:]


def test_the_value_of_a_cause_is_the_value_that_was_sent(told: list[Told]) -> None:
    for alert, _ in told:
        series = eventful(alert.entity)
        [row] = np.flatnonzero(series.timestamps_ms == alert.timestamp_ms)
        for cause in alert.causes:
            sent = series.values[row, DIMENSIONS.index(cause.dimension)]
            assert cause.value == (None if np.isnan(sent) else pytest.approx(sent, rel=1e-5))


def test_shares_are_of_the_point_and_at_the_end_of_the_whole_incident(told: list[Told]) -> None:
    for alert, verdicts in told:
        is_last = verdicts.transition[0] >= Transition.RESOLVED
        blame = verdicts.incident["blame"] if is_last else verdicts.contributions
        total = float(blame[0].sum())
        for cause in alert.causes:
            part = float(blame[0, DIMENSIONS.index(cause.dimension)])
            assert cause.share == pytest.approx(part / total, rel=1e-5)


def test_once_a_fault_is_clear_its_dimension_comes_first(told: list[Told]) -> None:
    own = [alert for alert, _ in told if alert.opened_ms == START_MS + 100 * PERIOD_MS]
    assert [alert.kind for alert in own] == ["opened", "updated", "updated", "resolved"]
    assert {alert.causes[0].dimension for alert in own[1:]} == {"b"}
