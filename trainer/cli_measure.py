"""`gaugewatch-trainer evaluate` and `report`: a finished bundle on other data."""

from typing import Annotated

import typer

from service.errors import SettingInvalid
from service.scoring.bundle import load_bundle
from trainer.cli_options import (
    BundleFolder,
    Data,
    Json,
    LayoutName,
    TestRows,
    TestTimes,
    TimestampColumn,
    Train,
    TrainRows,
    TrainTimes,
    Untrained,
    ranges_of,
    reader_for,
    tell_of,
)
from trainer.console import live, note, print_json, show, show_table, warn
from trainer.datasets import to_test_on
from trainer.run import examine, publish
from trainer.threshold_rows import calm_scores, table_of, threshold_rows
from trainer.thresholds import parse_choice

Thresholds = Annotated[
    list[str] | None,
    typer.Option(
        "--threshold",
        help="Compare pot, spot or dspot (:risk), quantile:0.01, epsilon, fixed:1, best-f1.",
    ),
]


def evaluate_command(
    bundle: BundleFolder,
    data: Data,
    train_data: Train = None,
    timestamp_column: TimestampColumn = None,
    layout: LayoutName = None,
    train_rows: TrainRows = None,
    train_times: TrainTimes = None,
    test_rows: TestRows = None,
    test_times: TestTimes = None,
    untrained: Untrained = False,
    threshold: Thresholds = None,
    is_json: Json = False,
) -> None:
    """Measure a bundle on labelled data, beside the floors."""
    choices = [parse_choice(text) for text in threshold or ()]
    found = load_bundle(bundle)
    ranges = ranges_of(train_rows, train_times, test_rows, test_times)
    reader = reader_for(found, timestamp_column, layout, ranges)
    halves = to_test_on(reader, data, train=train_data)
    if all(one.label is None for one in halves.test):
        raise SettingInvalid(f"{data} has no labels, so there is nothing to measure")
    with live("") as screen:
        material = examine(found, halves, screen.stage, has_untrained=untrained)
    tell_of(data, reader, halves)
    evaluation, calm = material.evaluation, calm_scores(material.held_out, material.held_out_scored)
    rows = threshold_rows(found, evaluation, calibration=calm, choices=choices)
    for missing in sorted({str(choice) for choice in choices} - set(rows)):
        warn(f"{missing} is left out: there is no training half to choose it from")
    if is_json:
        names = [one.entity for one in evaluation.series]
        entities = dict(zip(names, evaluation.entities, strict=True))
        answer = {"bundle": found.title, "metrics": evaluation.rows, "entities": entities}
        print_json({**answer, "thresholds": rows} if choices else answer)
    else:
        show(found, evaluation.rows)
        if choices:
            show_table("thresholds", *table_of(rows))
            note("the budget of a column deploys its threshold; recalibrate --threshold writes it")


def report_command(
    bundle: BundleFolder,
    data: Data,
    train_data: Train = None,
    timestamp_column: TimestampColumn = None,
    layout: LayoutName = None,
    train_rows: TrainRows = None,
    train_times: TrainTimes = None,
    test_rows: TestRows = None,
    test_times: TestTimes = None,
    untrained: Untrained = False,
    is_json: Json = False,
) -> None:
    """Write report.md, report.html, plots and the measures of a bundle anew."""
    found = load_bundle(bundle)
    ranges = ranges_of(train_rows, train_times, test_rows, test_times)
    reader = reader_for(found, timestamp_column, layout, ranges)
    halves = to_test_on(reader, data, train=train_data)
    with live("") as screen:
        material = examine(found, halves, screen.stage, has_untrained=untrained)
        found = publish(material, screen.stage, has_report=True)
    if is_json:
        print_json({"bundle": found.title, "report": str(found.folder / found.manifest.report)})
    else:
        show(found, found.manifest.metrics)
