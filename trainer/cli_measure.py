"""`gaugewatch-trainer evaluate` and `report`: a finished bundle on other data."""

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
from trainer.console import live, print_json, show
from trainer.datasets import to_test_on
from trainer.run import examine, publish


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
    is_json: Json = False,
) -> None:
    """Measure a bundle on labelled data, beside the floors."""
    found = load_bundle(bundle)
    ranges = ranges_of(train_rows, train_times, test_rows, test_times)
    reader = reader_for(found, timestamp_column, layout, ranges)
    halves = to_test_on(reader, data, train=train_data)
    if all(one.label is None for one in halves.test):
        raise SettingInvalid(f"{data} has no labels, so there is nothing to measure")
    tell_of(data, reader, halves)
    with live("") as stages:
        evaluation = examine(found, halves, stages, has_untrained=untrained).evaluation
    if is_json:
        names = [one.entity for one in evaluation.series]
        entities = dict(zip(names, evaluation.entities, strict=True))
        print_json({"bundle": found.title, "metrics": evaluation.rows, "entities": entities})
    else:
        show(found, evaluation.rows)


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
    """Write report.md, its plots and the measures of a bundle anew."""
    found = load_bundle(bundle)
    ranges = ranges_of(train_rows, train_times, test_rows, test_times)
    reader = reader_for(found, timestamp_column, layout, ranges)
    halves = to_test_on(reader, data, train=train_data)
    with live("") as stages:
        material = examine(found, halves, stages, has_untrained=untrained)
        found = publish(material, has_report=True)
    if is_json:
        print_json({"bundle": found.title, "report": str(found.folder / found.manifest.report)})
    else:
        show(found, found.manifest.metrics)
