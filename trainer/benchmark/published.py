"""The published suites: folders of NPZ files, one entity each, with both halves and a label.

SMAP leaves out P-2: its two overlapping rows in the published list of anomalies leave open what is
labelled, and the preprocessing that publications compare on (OmniAnomaly's) drops it as well.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from service.errors import BadSeries
from service.scoring.series import Series, read_folder
from trainer.benchmark.cases import Case, Suite
from trainer.benchmark.width import width_of


@dataclass(frozen=True)
class Folder:
    """What is known of a published data set."""

    name: str
    title: str
    period_seconds: float
    source: str
    tuning: tuple[str, ...] = ()  # entities that choices were made on
    left_out: tuple[str, ...] = ()


PUBLISHED: Mapping[str, Folder] = MappingProxyType(
    {
        "smd": Folder(
            "SMD",
            "SMD: server machines, 1 minute",
            60.0,
            "Su et al., KDD 2019 (OmniAnomaly)",
            tuning=("machine-1-6", "machine-2-1", "machine-3-4"),
        ),
        "asd": Folder(
            "ASD",
            "ASD: application servers, 5 minutes",
            300.0,
            "Li et al., KDD 2021 (InterFusion)",
            tuning=("omi-4",),
        ),
        "msl": Folder(
            "MSL",
            "MSL: telemetry of the Curiosity rover, 1 minute",
            60.0,
            "Hundman et al., KDD 2018 (telemanom)",
            tuning=("C-1",),
        ),
        "smap": Folder(
            "SMAP",
            "SMAP: telemetry of a satellite, 1 minute, without P-2",
            60.0,
            "Hundman et al., KDD 2018 (telemanom)",
            tuning=("A-1",),
            left_out=("P-2",),
        ),
        "jumpstarter": Folder(
            "JumpStarter_D2",
            "JumpStarter data set 2: services, 5 minutes, raw units",
            300.0,
            "Ma et al., USENIX ATC 2021 (JumpStarter)",
        ),
        "nab": Folder(
            "NAB",
            "NAB realKnownCause: one dimension, 5 minutes (nyc_taxi 30, ambient temperature 60)",
            300.0,
            "Lavin & Ahmad, ICMLA 2015 (NAB)",
        ),
    }
)


def load_published(name: str, data: Path) -> Suite:
    """Read both halves of every file; raises BadSeries where the folder or a label is missing."""
    known = PUBLISHED[name]
    folder = data / known.name
    if not folder.is_dir():
        raise BadSeries(
            f"{folder}: suite {name} needs this folder of NPZ files with train, test and label, "
            "and it is missing"
        )
    halves = zip(
        read_folder(folder, part="train", period_seconds=known.period_seconds),
        read_folder(folder, part="test", period_seconds=known.period_seconds),
        strict=True,
    )
    cases = tuple(
        _case(folder, train, test, is_tuning=test.entity in known.tuning)
        for train, test in halves
        if test.entity not in known.left_out
    )
    return Suite(name, known.title, known.period_seconds, cases, known.source)


def _case(folder: Path, train: Series, test: Series, *, is_tuning: bool) -> Case:
    if test.label is None:
        raise BadSeries(f"{folder / test.entity}.npz: expected a label, came a file without")
    return Case(test.entity, train, test, is_tuning, width_of(test))
