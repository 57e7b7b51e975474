"""The page on explanations: incidents chosen by rule, figures as committed."""

import json
from dataclasses import replace
from pathlib import Path
from statistics import median_low

import numpy as np
import pytest

from benchmarks import explaining
from benchmarks.incidents import FAR_POINTS, Incident, chosen, incidents_of, opening_alert
from service.scoring.fold import Fold
from service.scoring.offline import score_series
from service.scoring.series import Segment, Series
from tests.builders import DIMENSIONS, series_like

ROOT = Path(__file__).parent.parent
PICTURE_BYTES = 150_000
FAULTS = (Segment(150, 169, (1,)), Segment(400, 404, (2,)), Segment(700, 702, (1, 3)))


def labelled() -> Series:
    """Three labelled faults of growing size, and odd points that nobody labelled."""
    series = series_like("alpha", 1000, seed=1)
    label = np.zeros(len(series.values), bool)
    for size, fault in enumerate(FAULTS, start=1):
        rows = slice(fault.start, fault.end + 1)
        label[rows] = True
        series.values[rows, list(fault.dimensions)] += size
    series.values[[180, 550, 850], 0] += [9.0, 1.0, 2.0]
    return replace(series, label=label, segments=FAULTS)


@pytest.fixture(scope="module")
def incidents(fold: Fold) -> list[Incident]:
    series = labelled()
    [scored] = score_series(fold, [series])
    return incidents_of(fold.bundle, series, scored)


def test_the_three_are_the_most_severe_a_typical_find_and_the_worst_false_alarm(
    incidents: list[Incident],
) -> None:
    worst, find, false = chosen(incidents)
    assert worst.peak_severity == max(one.peak_severity for one in incidents)
    rest = [one for one in incidents if one is not worst]
    finds = [one.peak_score for one in rest if one.first_cause in one.culprits]
    assert find.peak_score == median_low(finds)
    is_labelled = labelled().label
    assert is_labelled is not None
    assert not is_labelled[false.first - FAR_POINTS : false.last + FAR_POINTS + 1].any()
    assert false.first <= 850 <= false.last


def test_an_incident_knows_its_label_and_its_culprits(incidents: list[Incident]) -> None:
    at_fault = [one for one in incidents if one.first in range(400, 405)]
    assert at_fault
    assert all(one.is_labelled and one.culprits == {2} for one in at_fault)
    assert not any(
        one.is_labelled or one.culprits for one in incidents if one.first <= 850 <= one.last
    )


def test_the_last_row_of_an_incident_is_its_last_anomaly(incidents: list[Incident]) -> None:
    for one in incidents:
        flagged = np.flatnonzero(one.scored.is_anomaly[one.first : one.told[-1].row + 1])
        assert one.last == one.first + flagged[-1]
        assert one.scored.score[one.peak] == pytest.approx(one.peak_score)


def test_the_alert_that_is_shown_is_that_of_the_incident(
    fold: Fold, incidents: list[Incident]
) -> None:
    one = incidents[0]
    alert = opening_alert(fold, one)
    assert (alert.kind, alert.opened_ms) == ("opened", int(one.series.timestamps_ms[one.first]))
    assert alert.score == one.scored.score[one.first]
    assert alert.causes[0].dimension == DIMENSIONS[one.first_cause]


def test_the_page_shows_the_figures_of_the_committed_results() -> None:
    page = (ROOT / explaining.PAGE).read_text("utf-8")
    found = json.loads((ROOT / explaining.RESULTS).read_text("utf-8"))
    assert explaining.filled(page, found) == page, "run python -m benchmarks.explaining"


def test_every_picture_of_the_page_is_there_and_small() -> None:
    page = (ROOT / explaining.PAGE).read_text("utf-8")
    for number in range(1, 1 + len(explaining.NAMES)):
        picture = ROOT / explaining.PICTURES / f"explaining-{number}.png"
        assert f"]({picture.parent.name}/{picture.name})" in page
        assert picture.stat().st_size < PICTURE_BYTES
