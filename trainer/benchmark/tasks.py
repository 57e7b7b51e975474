"""The tasks of a worker: make one bundle, or answer and measure one suite."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

import trainer
from service.errors import TrainingFailed
from trainer.benchmark.bench import Answer, Bench, Row
from trainer.benchmark.cases import Case, Suite
from trainer.benchmark.disk import digest_of_folder, digest_of_source, whole_folder, write_whole
from trainer.benchmark.plan import FitJob, Job, ScoreJob, fitted_entity
from trainer.benchmark.results import (
    EntityResult,
    FitRecord,
    RunResult,
    Trace,
    finished_fit,
    write_traces,
)
from trainer.evaluate import measure
from trainer.workers import Tell

TELL_SECONDS = 0.5


@dataclass(frozen=True)
class Place:
    """What the benchmark is made of, where its data are, and where its files go."""

    bench: Bench
    rows: tuple[Row, ...]
    data: Path
    output: Path

    def row(self, name: str) -> Row:
        """The row of this name."""
        return next(row for row in self.rows if row.name == name)

    def suite(self, name: str) -> Suite:
        """The suite of this name, read once per process."""
        return _load(self.bench.load_suite, name, self.data)


@lru_cache(maxsize=2)
def _load(load_suite: Callable[[str, Path], Suite], name: str, data: Path) -> Suite:
    return load_suite(name, data)


@dataclass(frozen=True)
class Work:
    """A job with all it takes to do it."""

    place: Place
    job: Job

    def __call__(self, tell: Tell) -> None:
        if isinstance(self.job, FitJob):
            do_fit(self.place, self.job)
        else:
            do_score(self.place, self.job, tell)


def do_fit(place: Place, job: FitJob) -> None:
    """Write a bundle and its record; both or nothing."""
    case = next(one for one in place.suite(job.suite).cases if one.entity == job.entity)
    started = time.monotonic()
    with whole_folder(job.folder(place.output)) as draft:
        bundle = place.bench.fit_case(
            case,
            place.row(job.row),
            seed=job.seed,
            period_seconds=case.period_seconds,
            folder=draft,
        )
        record = FitRecord(
            fingerprint=job.fingerprint,
            bundle=str(bundle.relative_to(draft)),
            digest=digest_of_folder(bundle),
            seconds=time.monotonic() - started,
        )
        write_whole(draft / "fit.json", record.model_dump_json(indent=1).encode())


def do_score(place: Place, job: ScoreJob, tell: Tell) -> None:
    """Write traces, then measures; what was there before goes first."""
    job.result(place.output).unlink(missing_ok=True)
    suite, row = place.suite(job.suite), place.row(job.row)
    records = {fit.entity: (fit, _record(place.output, fit)) for fit in job.fits}
    folder_of = {
        entity: fit.folder(place.output) / record.bundle
        for entity, (fit, record) in records.items()
    }
    started = time.monotonic()
    points = sum(len(case.test.values) for case in suite.cases)
    answers = place.bench.answer(
        row, suite, seed=job.seed, bundles=folder_of, on_point=_counted(tell, points)
    )
    tell("measuring")
    entities = {case.entity: _measured(case, answers[case.entity]) for case in suite.cases}
    traces = {case.entity: _trace(case, answers[case.entity]) for case in suite.cases}
    result = RunResult(
        fingerprint=job.fingerprint,
        suite=suite.name,
        suite_title=suite.title,
        source=suite.source,
        row=row.name,
        row_title=row.title,
        is_floor=row.is_floor,
        seed=job.seed,
        seconds=time.monotonic() - started,
        fit_seconds=sum(record.seconds for _, record in records.values()),
        code=code(),
        scores=write_traces(job.traces(place.output), traces),
        entities=entities,
    )
    write_whole(job.result(place.output), result.model_dump_json(indent=1).encode())


def code() -> str:
    """Digest of the source that fits, answers and measures."""
    root = Path(trainer.__file__).parents[1]
    return digest_of_source(root, "trainer", "service/scoring")


def _record(output: Path, fit: FitJob) -> FitRecord:
    record = finished_fit(fit.folder(output), fit.fingerprint)
    if record is None:
        raise TrainingFailed(f"expected a bundle in {fit.folder(output)}, found none")
    return record


def _measured(case: Case, answer: Answer) -> EntityResult:
    measures = measure(
        case.test,
        answer.answers,
        period_seconds=case.period_seconds,
        vus_width=case.vus_width,
        nominal_share=answer.nominal_share,
    )
    more = {
        "false_incidents_over_budget": answer.false_incidents_over_budget,
        "microseconds_per_point": answer.microseconds_per_point,
    }
    measures |= {name: value for name, value in more.items() if value is not None}
    return EntityResult(
        is_tuning=case.is_tuning,
        fitted_as=fitted_entity(case),
        points=len(case.test.values),
        measures=measures,
        incidents_per_day=dict(answer.incidents_per_day_by_budget or {}),
    )


def _trace(case: Case, answer: Answer) -> Trace:
    answers = answer.answers
    label = case.test.label
    missing = np.zeros(len(answers.score), bool)
    return Trace(
        severity=answers.ranking,
        score=answers.score,
        is_anomaly=answers.is_anomaly,
        label=missing if label is None else label,
    )


def _counted(tell: Tell, points: int) -> Callable[[int], None]:
    """Hears of points, and tells of their share now and then."""
    done, told = 0, 0.0

    def on_point(count: int) -> None:
        nonlocal done, told
        done += count
        if time.monotonic() - told > TELL_SECONDS:
            told = time.monotonic()
            tell(f"{done / points:.0%}")

    return on_point
