"""A benchmark that trains nothing: two suites, four rows, bundles of one file.

Its data folder holds `suites.txt`; files named `break`, `die` or `wait` in it make a fit of the
entity they name fail, take its process down, or last.
"""

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import typer

from service.errors import BadInput, BadSeries, TrainingFailed
from service.scoring.series import Segment, Series
from tests.builders import series_like
from trainer.benchmark.bench import Answer, Bench, Row
from trainer.benchmark.cases import Case, Suite
from trainer.benchmark.plan import Job, Plan, make_plan
from trainer.benchmark.tasks import Place, Work
from trainer.cli_benchmark import command
from trainer.config import preset
from trainer.floors import Answers

ENTITIES = ("alpha", "beta", "gamma", "delta")
SUITES = ("smd", "injected")
CULPRIT = 2
BUDGETS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
ROWS = (
    Row("ours", "Ours", is_floor=False, seeds=3, config=preset("small")),
    Row("untrained", "Untrained", is_floor=True, seeds=2, config=preset("small", epochs=0)),
    Row("pca", "PCA <error>", is_floor=True, seeds=1, config=None),
    Row("random", "Random", is_floor=True, seeds=1, config=None),
)


def data_folder(root: Path, *, seed: int = 0) -> Path:
    """Data as the suites of this module are made of."""
    folder = root / "data"
    folder.mkdir(exist_ok=True)
    (folder / "suites.txt").write_text(str(seed))
    return folder


def load_suite(name: str, data: Path) -> Suite:
    """`smd` has four entities, `injected` two faults in each of them."""
    if name not in {"smd", "injected"}:
        raise BadInput(f"expected a suite of smd, injected, came {name!r}")
    try:
        seed = int((data / "suites.txt").read_text())
    except OSError:
        raise BadSeries(f"{data}: found nothing") from None
    machines = [_case(entity, seed, data) for entity in ENTITIES]
    if name == "smd":
        return Suite("smd", "Machines", 60.0, tuple(machines), "Made up & <cited>")
    cases = [
        replace(
            one, entity=f"{one.entity}/{fault}-0", test=_broken(one.train, at), fitted_as=one.entity
        )
        for one in machines
        for fault, at in (("swap", 100), ("lag", 180))
    ]
    return Suite("injected", "Injected", 60.0, tuple(cases), "Made up")


def _case(entity: str, seed: int, data: Path) -> Case:
    train = series_like(entity, 300, seed=seed)
    train = replace(train, dimensions=(*train.dimensions[:-1], str(data)))
    test = _broken(replace(train, values=series_like(entity, 300, seed=seed + 1).values), 120)
    return Case(entity, train, test, is_tuning=entity == "alpha", vus_width=20)


def _broken(series: Series, at: int) -> Series:
    values, label = series.values.copy(), np.zeros(len(series.values), bool)
    segments = tuple(Segment(start, start + 19, (CULPRIT,)) for start in (at, at + 60))
    for one in segments:
        values[one.start : one.end + 1, CULPRIT] += 0.5
        label[one.start : one.end + 1] = True
    return replace(series, values=values, label=label, segments=segments)


def fit_case(case: Case, row: Row, *, seed: int, period_seconds: float, folder: Path) -> Path:
    """The means of the training half, a little wrong by the seed."""
    assert period_seconds == case.period_seconds
    _obey(Path(case.train.dimensions[-1]), case.entity, folder)
    bundle = folder / "bundle" / "version"
    bundle.mkdir(parents=True)
    random = np.random.default_rng([seed, row.config.epochs if row.config else 0])
    center = case.train.values.mean(axis=0) + 0.05 * random.normal(size=4)
    (bundle / "center.json").write_text(json.dumps(center.tolist()))
    return bundle


def _obey(data: Path, entity: str, folder: Path) -> None:
    for order in ("break", "die", "wait"):
        path = data / order
        if path.is_file() and path.read_text() == entity:
            (folder / "half").write_text("written")
            if order == "break":
                raise TrainingFailed("the loss of\nthis one is NaN")
            if order == "die":
                os._exit(9)
            time.sleep(240)


def answer(
    row: Row,
    suite: Suite,
    *,
    seed: int,
    bundles: Mapping[str, Path],
    on_point: Callable[[int], None],
) -> dict[str, Answer]:
    """Distance from the means; warm for ten points."""
    answers = {}
    for case in suite.cases:
        random = np.random.default_rng(seed)
        if row.name == "random":
            score = random.random(len(case.test.values))
            answers[case.entity] = Answer(Answers(score, None))
            continue
        center = case.train.values.mean(axis=0)
        if row.config is not None:
            name = case.fitted_as or case.entity
            center = np.array(json.loads((bundles[name] / "center.json").read_text()))
        error = np.square(case.test.values - center)  # (time, dimension)
        score = error.sum(axis=1)
        score[:10] = np.nan
        on_point(len(score))
        answers[case.entity] = (
            _decided(score, error) if row.config else Answer(Answers(score, error))
        )
    return answers


def _decided(score: np.ndarray, error: np.ndarray) -> Answer:
    threshold = np.nanquantile(score, 0.85)
    rates = {budget: budget * 0.8 + 0.05 for budget in BUDGETS}
    return Answer(
        Answers(score / threshold, error, score > threshold, np.sqrt(score)),
        nominal_share=0.01,
        false_incidents_over_budget=1.25,
        incidents_per_day_by_budget=rates,
        microseconds_per_point=3.0,
    )


BENCH = Bench(
    suites=SUITES,
    rows=ROWS,
    default="ours",
    anchor="pca",
    untrained="untrained",
    rivals=(),
    load_suite=load_suite,
    fit_case=fit_case,
    answer=answer,
)


def place_of(root: Path, *, seed: int = 0, rows: tuple[Row, ...] = ROWS) -> Place:
    return Place(BENCH, rows, data_folder(root, seed=seed), root / "out")


def planned(place: Place, *suites: str, seeds: int | None = None) -> Plan:
    names = suites or SUITES
    found = [load_suite(name, place.data) for name in names]
    return make_plan(found, place.rows, output=place.output, seeds=seeds)


def do_here(place: Place, plan: Plan) -> None:
    """All jobs in this process, in an order that suits them."""
    jobs: list[Job] = [*plan.fits, *plan.scores]
    for job in jobs:
        Work(place, job)(lambda _detail: None)


if __name__ == "__main__":
    typer.run(command(BENCH))
