"""Labels: what people said of incidents, and the points that no model is to learn from.

As `gaugewatch incidents --json` prints them, or `GET /v1/incidents` answers.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import numpy as np
from msgspec import Struct

from service.errors import SettingInvalid
from service.scoring.series import Series
from trainer.datasets import Halves

MARGIN_PERIODS: Final = 5  # before and after an incident: a fault begins and fades unseen


class _Note(Struct):
    label: str | None = None


class _Alert(Struct):
    kind: str
    timestamp_ms: int


class _Incident(Struct):
    incident: str
    entity: str
    opened_ms: int
    note: _Note
    alert: _Alert  # the newest

    @property
    def is_fault(self) -> bool:
        """Of points: a silence has another name, and no points."""
        is_of_points = self.incident == f"{self.entity}@{self.opened_ms}"
        return is_of_points and self.note.label == "true"


class _Incidents(Struct):
    incidents: list[_Incident]


class Fault(NamedTuple):
    """A time of one entity that a person called a true incident."""

    entity: str
    start_ms: int
    end_ms: float  # of its last point; infinite while it is open


def read_faults(path: Path) -> list[Fault]:
    """Incidents labelled `true`. Raises SettingInvalid."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=_Incidents)
    except (OSError, msgspec.MsgspecError) as problem:
        raise SettingInvalid(f"{path}: expected incidents as JSON: {problem}") from problem
    return [
        Fault(one.entity, one.opened_ms, one.alert.timestamp_ms)
        if one.alert.kind == "resolved"
        else Fault(one.entity, one.opened_ms, inf)
        for one in found.incidents
        if one.is_fault
    ]


def without_faults(
    halves: Halves,
    faults: Sequence[Fault],
    *,
    period_seconds: float,
    tell: Callable[[str], None],
) -> Halves:
    """The training half without the points of faults, which leave a gap."""
    margin_ms = 1000 * MARGIN_PERIODS * period_seconds
    train = [_without(one, faults, margin_ms=margin_ms) for one in halves.train]
    pairs = list(zip(halves.train, train, strict=True))
    lost = [len(one.values) - len(kept.values) for one, kept in pairs]
    entities = sum(map(bool, lost))
    tell(f"{len(faults)} true incidents: {sum(lost)} points of {entities} entities are left out")
    return replace(halves, train=train)


def _without(series: Series, faults: Sequence[Fault], *, margin_ms: float) -> Series:
    times, is_kept = series.timestamps_ms, np.ones(len(series.values), bool)
    for fault in faults:
        if fault.entity == series.entity:
            is_kept &= (times < fault.start_ms - margin_ms) | (times > fault.end_ms + margin_ms)
    if is_kept.all():
        return series
    label = None if series.label is None else series.label[is_kept]
    values = series.values[is_kept]
    return replace(series, timestamps_ms=times[is_kept], values=values, label=label, segments=())
