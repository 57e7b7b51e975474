"""`gaugewatch-trainer evaluate` and `report`: a finished bundle on other data."""

from pathlib import Path

from service.errors import SettingInvalid
from service.scoring.bundle import Bundle, load_bundle
from trainer.cli_options import (
    BundleFolder,
    Data,
    Json,
    LayoutName,
    TimestampColumn,
    Train,
    Untrained,
)
from trainer.console import live, note, print_json, show
from trainer.datasets import Halves, Reader, to_test_on
from trainer.layouts.recognise import Layout
from trainer.run import examine, publish


def evaluate_command(
    bundle: BundleFolder,
    data: Data,
    train_data: Train = None,
    timestamp_column: TimestampColumn = None,
    layout: LayoutName = None,
    untrained: Untrained = False,
    is_json: Json = False,
) -> None:
    """Measure a bundle on labelled data, beside the floors."""
    found = load_bundle(bundle)
    halves = _halves_for(found, data, train_data, timestamp_column, layout)
    if all(one.label is None for one in halves.test):
        raise SettingInvalid(f"{data} has no labels, so there is nothing to measure")
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
    untrained: Untrained = False,
    is_json: Json = False,
) -> None:
    """Write report.md, its plots and the measures of a bundle anew."""
    found = load_bundle(bundle)
    halves = _halves_for(found, data, train_data, timestamp_column, layout)
    with live("") as stages:
        material = examine(found, halves, stages, has_untrained=untrained)
        found = publish(material, has_report=True)
    if is_json:
        print_json({"bundle": found.title, "report": str(found.folder / found.manifest.report)})
    else:
        show(found, found.manifest.metrics)


def _halves_for(
    bundle: Bundle,
    data: Path,
    train_data: Path | None,
    timestamp_column: str | None,
    layout: Layout | None,
) -> Halves:
    manifest = bundle.manifest
    columns, period_seconds = manifest.dimensions, manifest.period_seconds
    reader = Reader(period_seconds, columns, timestamp_column, layout, note)
    return to_test_on(reader, data, train=train_data)
