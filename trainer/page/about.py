"""What a bundle is, what it was made from, and how."""

from collections.abc import Mapping
from html import escape
from typing import cast

from service.scoring.bundle import Manifest
from trainer.census import table_of
from trainer.config import CONFIGS, Model
from trainer.material import Material, read_history
from trainer.options import meaning
from trainer.page.markup import facts, figure, folded, heading, paragraph, section, table
from trainer.page.words import MODELS
from trainer.pictures.curves import draw_loss
from trainer.pictures.inline import svg
from trainer.report import horizon
from trainer.tables import cell
from trainer.trim import sentence

MAX_NAMED = 40  # entities or dimensions in one sentence


def head_of(material: Material) -> str:
    """Title, what this is, and a few figures."""
    manifest = material.bundle.manifest
    what = MODELS.get(manifest.model, "a model of its own")
    return (
        f"{heading_of(manifest)}"
        + paragraph(
            f"This page describes a trained detector of anomalies. It watches {_points(manifest)} "
            "and says of each, as it comes, how odd it is and which dimensions are to blame.",
            kind="lead",
        )
        + paragraph(
            f"Its model is {manifest.model}: {what}. The detector is a folder of files, a bundle, "
            "that a service loads; nothing on this page is needed to run it. Everything here was "
            "found on the data named below, and on nothing else."
        )
        + facts(_figures(material))
    )


def footer_of(manifest: Manifest) -> str:
    """Who made the page, and when the bundle was exported."""
    exported = f" Exported {manifest.created_at}." if manifest.created_at else ""
    said = paragraph(f"Written by gaugewatch-trainer.{exported}", kind="quiet")
    return f"<footer>\n{said}</footer>\n"


def heading_of(manifest: Manifest) -> str:
    """The only heading of the first level."""
    return f"<h1>{escape(manifest.name)} <small>{escape(manifest.version)}</small></h1>\n"


def data_of(material: Material) -> str:
    """Rows, entities, dimensions, what was left out, and a census."""
    manifest = material.bundle.manifest
    return section(
        "data",
        "What it was trained on",
        paragraph(f"Entities: {_named(manifest.entities)}."),
        paragraph(f"Dimensions: {_named(manifest.dimensions)}."),
        paragraph(sentence(manifest.training)),
        table("census of the data", *table_of(material.parts)),
        paragraph(
            "The training half is split in time: weights are fitted to its beginning, the training "
            "is stopped by a later part, and thresholds come from its end, which no weight was "
            "fitted to. Labels, where there are any, are used to measure and for nothing else. "
            "Constant, 0/1 and repeated are dimensions: with one value throughout, with two, or "
            "moving exactly as another one.",
            kind="quiet",
        ),
    )


def training_of(material: Material) -> str:
    """The loss, the knobs, and what was measured when it was exported."""
    manifest = material.bundle.manifest
    return section(
        "training",
        "How it was trained",
        _loss(material),
        heading("Knobs"),
        table("knobs of the model", *_knobs(manifest), texts=("value", "meaning")),
        folded("What else is known of it", _fine_print(manifest)),
    )


def _points(manifest: Manifest) -> str:
    count = len(manifest.dimensions)
    numbers = "one number (dimension)" if count == 1 else f"{count} numbers (dimensions)"
    entities = len(manifest.entities)
    of = f"one entity, {manifest.entities[0]}" if entities == 1 else f"each of {entities} entities"
    return f"{numbers} of {of}, measured every {manifest.period_seconds:g} seconds,"


def _figures(material: Material) -> dict[str, str]:
    rows, manifest = material.evaluation.rows, material.bundle.manifest
    own, pca = rows.get("bundle", {}), rows.get("pca", {})
    found = {
        "labelled events found": _share(own.get("event_recall")),
        "false episodes per day": _number(own.get("false_episodes_per_day")),
        "average precision": _number(own.get("average_precision")),
        "average precision of a PCA": _number(pca.get("average_precision")),
        "the bundle's own budget of false incidents per entity-day": f"{manifest.default_budget:g}",
        "points until the first score": f"{manifest.memory_horizon}",
    }
    return {name: value for name, value in found.items() if value}


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"


def _number(value: float | None) -> str:
    return "" if value is None else cell(value)


def _named(names: tuple[str, ...]) -> str:
    more = len(names) - MAX_NAMED
    shown = ", ".join(names[:MAX_NAMED])
    return f"{len(names)} ({shown}{f', and {more} more' if more > 0 else ''})"


def _loss(material: Material) -> str:
    history = read_history(material.bundle.folder)
    if history is None:
        return paragraph("The course of the training was not kept.")
    epochs, best = history["epochs"], history["best_epoch"]
    if not epochs:
        return paragraph("The model has closed formulas or initial weights alone: no loss to show.")
    first, last = epochs[0]["validation_loss"], epochs[-1]["validation_loss"]
    lowest = min(epoch["validation_loss"] for epoch in epochs)
    alt = (
        f"Loss over {len(epochs)} validations: on held-out points {first:.3g} at first, "
        f"{lowest:.3g} at its lowest and {last:.3g} at last."
    )
    return figure(
        svg(draw_loss(epochs, best_epoch=best), "loss", alt),
        f"The loss on points the weights are fitted to, and on later points held out. The weights "
        f"of epoch {best} were kept{'; 0 is before the training' if best == 0 else ''}.",
    )


def _knobs(manifest: Manifest) -> tuple[list[str], list[list[str]]]:
    known: Mapping[str, object] = manifest.training
    if manifest.model not in CONFIGS:
        return ["knob", "value", "meaning"], [[k, f"{v}", ""] for k, v in sorted(known.items())]
    model = cast(Model, manifest.model)
    knobs = [name for name in CONFIGS[model].model_fields if name in known]
    lines = [[name, f"{known[name]}", meaning(model, name)] for name in knobs]
    return ["knob", "value", "meaning"], lines


def _fine_print(manifest: Manifest) -> str:
    parity = [[name, f"{value:.3g}"] for name, value in sorted(manifest.parity.items())]
    views = [
        [view.member, view.power, f"{view.half_life_points:.0f}", view.aggregation, view.role]
        for view in manifest.views
    ]
    fields = CONFIGS[cast(Model, manifest.model)].model_fields if manifest.model in CONFIGS else {}
    rest = [[k, f"{v}"] for k, v in sorted(manifest.training.items()) if k not in fields]
    return (
        paragraph(f"{horizon(manifest)} Window: {manifest.window_length} points.")
        + paragraph("Largest differences between the exported graphs and what they came from:")
        + table("parity", ["difference", "scaled units"], parity)
        + paragraph("How the scoring looks at the errors that the graphs yield:")
        + table(
            "views",
            ["error", "power", "half-life, points", "aggregation", "role"],
            views,
            texts=("power", "aggregation", "role"),
        )
        + table("versions and digests", ["what", "value"], rest, texts=("value",))
    )
