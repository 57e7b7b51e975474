"""The plan: which fits and which runs there are to do, and what each of them depends on.

A fingerprint covers what a run is told: the data, the configuration, the seed,
the versions of the libraries; not the source, whose state is kept with every result instead. Where
a finished file has the same one, the work is not done again.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from service.errors import SettingInvalid
from trainer.benchmark.bench import Bench, Row
from trainer.benchmark.cases import Case, Suite
from trainer.benchmark.disk import digest_of_series, fingerprint
from trainer.benchmark.results import (
    FORMAT,
    finished_fit,
    finished_run,
    fit_folder,
    result_path,
    traces_path,
)

LIBRARIES = ("gaugewatch", "numpy", "onnxruntime", "scikit-learn", "torch")
FITTED_IN = {"injected": "smd"}  # suite -> the one whose fits it takes over


@dataclass(frozen=True)
class FitJob:
    """One bundle to make."""

    suite: str
    row: str
    seed: int
    entity: str
    fingerprint: str

    @property
    def name(self) -> str:
        """As people read it."""
        return f"fit {self.suite} {self.row} seed {self.seed} {self.entity}"

    def folder(self, output: Path) -> Path:
        """Where its bundle and its record are."""
        return fit_folder(output, self.suite, self.row, self.seed, self.entity)


@dataclass(frozen=True)
class ScoreJob:
    """One row to measure on a whole suite."""

    suite: str
    row: str
    seed: int
    fits: tuple[FitJob, ...]
    fingerprint: str

    @property
    def name(self) -> str:
        """As people read it."""
        return f"score {self.suite} {self.row} seed {self.seed}"

    def result(self, output: Path) -> Path:
        """Where its measures are."""
        return result_path(output, self.suite, self.row, self.seed)

    def traces(self, output: Path) -> Path:
        """Where its traces are."""
        return traces_path(output, self.suite, self.row, self.seed)


Job = FitJob | ScoreJob


@dataclass(frozen=True)
class Plan:
    """What is to do, and what is there."""

    fits: tuple[FitJob, ...]
    scores: tuple[ScoreJob, ...]
    reused: int  # jobs whose files are there
    seconds: Mapping[str, tuple[float, ...]]  # `kind_of` a job -> how long such jobs took


def kind_of(job: Job) -> str:
    """Jobs that take about as long as each other."""
    verb = "fit" if isinstance(job, FitJob) else f"score {job.suite}"
    return f"{verb} {job.row}"


def choose_rows(bench: Bench, names: Sequence[str] | None) -> tuple[Row, ...]:
    """The rows of these names in the order of the bench; all without names."""
    if names is None:
        return bench.rows
    known = [row.name for row in bench.rows]
    if unknown := sorted(set(names) - set(known)):
        raise SettingInvalid(f"expected rows of {', '.join(known)}, came {', '.join(unknown)}")
    return tuple(row for row in bench.rows if row.name in names)


def make_plan(
    suites: Iterable[Suite], rows: Sequence[Row], *, output: Path, seeds: int | None
) -> Plan:
    """Look at the suites once, and at the files that are there."""
    scores = [job for suite in suites for job in _scores_of(suite, rows, seeds)]
    missing, seconds, reused = [], dict[str, list[float]](), 0
    for job in scores:
        found = finished_run(job.result(output), job.traces(output), job.fingerprint)
        if found is None:
            missing.append(job)
        else:
            seconds.setdefault(kind_of(job), []).append(found.seconds)
            reused += 1
    wanted = dict.fromkeys(fit for job in missing for fit in job.fits)
    fits = []
    for fit in wanted:
        record = finished_fit(fit.folder(output), fit.fingerprint)
        if record is None:
            fits.append(fit)
        else:
            seconds.setdefault(kind_of(fit), []).append(record.seconds)
            reused += 1
    known = {kind: tuple(taken) for kind, taken in seconds.items()}
    return Plan(tuple(fits), tuple(missing), reused, known)


def _scores_of(suite: Suite, rows: Sequence[Row], seeds: int | None) -> list[ScoreJob]:
    trained = {case.entity: digest_of_series(case.train) for case in suite.cases}
    versions = {library: version(library) for library in LIBRARIES}
    cases = [
        [
            *(case.entity, case.fitted_as, case.is_tuning, case.vus_width, case.period_seconds),
            *(trained[case.entity], digest_of_series(case.test)),
        ]
        for case in suite.cases
    ]
    jobs = []
    for row in rows:
        for seed in range(row.seeds if seeds is None or row.seeds == 1 else seeds):
            config = row.config and row.config.model_dump(mode="json")
            known = [FORMAT, row.name, config, seed, versions]
            fits = dict.fromkeys(
                FitJob(
                    suite=FITTED_IN.get(suite.name, suite.name) if case.fitted_as else suite.name,
                    row=row.name,
                    seed=seed,
                    entity=fitted_entity(case),
                    fingerprint=fingerprint([known, trained[case.entity], case.period_seconds]),
                )
                for case in (suite.cases if config else ())
            )
            of_all = fingerprint([known, cases, suite.name, suite.period_seconds])
            jobs.append(ScoreJob(suite.name, row.name, seed, tuple(fits), of_all))
    return jobs


def fitted_entity(case: Case) -> str:
    """The entity whose bundle answers a case."""
    return case.fitted_as or case.entity
