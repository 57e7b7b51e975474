"""`gaugewatch-trainer evaluate` and `report`: a finished bundle on other data."""

from dataclasses import dataclass
from typing import Annotated

import typer

from service.errors import SettingInvalid
from service.scoring.bundle import Bundle, load_bundle
from trainer.cli_options import (
    BundleFolder,
    Data,
    Json,
    Reading,
    TestPart,
    Train,
    Untrained,
    reader_for,
    tell_of,
)
from trainer.console import Screen, live, note, print_json, show, show_table, warn
from trainer.datasets import to_test_on
from trainer.evaluate import Measures
from trainer.material import Material
from trainer.option_groups import grouped
from trainer.run import examine, publish
from trainer.threshold_rows import calm_scores, table_of, threshold_rows
from trainer.thresholds import Choice, parse_choice

Thresholds = Annotated[
    list[str] | None,
    typer.Option(
        "--threshold",
        help="Compare pot, spot or dspot (:risk), quantile:0.01, epsilon, fixed:1, best-f1.",
    ),
]


@dataclass(frozen=True)
class Subject:
    """A bundle, and what it is measured on."""

    bundle: BundleFolder
    data: Data
    train_data: Train = None
    untrained: Untrained = False


@grouped
def evaluate_command(
    subject: Subject,
    reading: Reading,
    part: TestPart,
    threshold: Thresholds = None,
    is_json: Json = False,
) -> None:
    """Measure a bundle on labelled data, beside the floors."""
    choices = [parse_choice(text) for text in threshold or ()]
    with live("") as screen:
        material = _examined(subject, reading, part, screen=screen, needs_labels=True)
    rows = _compared(material, choices)
    evaluation = material.evaluation
    if is_json:
        names = [one.entity for one in evaluation.series]
        entities = dict(zip(names, evaluation.entities, strict=True))
        title = material.bundle.title
        answer = {"bundle": title, "metrics": evaluation.rows, "entities": entities}
        print_json({**answer, "thresholds": rows} if choices else answer)
        return
    show(material.bundle, evaluation.rows)
    if choices:
        show_table("thresholds", *table_of(rows))
        note("the budget of a column deploys its threshold; recalibrate --threshold writes it")


@grouped
def report_command(
    subject: Subject, reading: Reading, part: TestPart, is_json: Json = False
) -> None:
    """Write report.md, report.html, plots and the measures of a bundle anew."""
    with live("") as screen:
        material = _examined(subject, reading, part, screen=screen)
        found: Bundle = publish(material, screen.stage, has_report=True)
    if is_json:
        print_json({"bundle": found.title, "report": str(found.folder / found.manifest.report)})
    else:
        show(found, found.manifest.metrics)


def _examined(
    subject: Subject,
    reading: Reading,
    part: TestPart,
    *,
    screen: Screen,
    needs_labels: bool = False,
) -> Material:
    """Read, score, measure, and say what was read."""
    found = load_bundle(subject.bundle)
    reader = reader_for(found, reading, part)
    halves = to_test_on(reader, subject.data, train=subject.train_data)
    if needs_labels and all(one.label is None for one in halves.test):
        raise SettingInvalid(f"{subject.data} has no labels, so there is nothing to measure")
    material = examine(found, halves, screen.stage, has_untrained=subject.untrained)
    tell_of(subject.data, reader, halves, tell=screen.say)
    return material


def _compared(material: Material, choices: list[Choice]) -> dict[str, Measures]:
    """Threshold -> its measures; what cannot be chosen is left out aloud."""
    calm = calm_scores(material.held_out, material.held_out_scored)
    rows = threshold_rows(material.bundle, material.evaluation, calibration=calm, choices=choices)
    for missing in sorted({str(choice) for choice in choices} - set(rows)):
        warn(f"{missing} is left out: there is no training half to choose it from")
    return rows
