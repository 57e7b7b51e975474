"""The report of a bundle: `report.md` and its plots, from the data given and nothing else."""

from pathlib import Path

import numpy as np

from service.scoring.bundle import Bundle, Manifest
from trainer.budget import BUDGETS
from trainer.census import table_of
from trainer.close_up import close_up
from trainer.evaluate import Evaluation
from trainer.material import Material, read_history
from trainer.pictures.curves import draw_budgets, draw_loss
from trainer.pictures.ink import png
from trainer.tables import MEASURES, cell, markdown, table
from trainer.threshold_rows import section_of
from trainer.trim import sentence

MAX_ENTITIES = 50  # listed one by one


def write_report(material: Material) -> Path:
    """Write `report.md` and its plots into the folder of the bundle."""
    sections = [
        _head(material),
        _measures(material.evaluation),
        _entities(material.evaluation),
        *close_up(material.bundle, *material.shown[:2], where=material.shown[2]),
        section_of(material.thresholds),
        _trade_off(material),
        _training(material.bundle.folder),
        sentence(material.bundle.manifest.training),
        _figures(material.bundle),
        _data(material),
    ]
    path = material.bundle.folder / "report.md"
    path.write_text("\n\n".join(section for section in sections if section) + "\n")
    return path


def _head(material: Material) -> str:
    manifest = material.bundle.manifest
    entities = len(manifest.entities)
    return (
        f"# {manifest.name} {manifest.version}\n\n"
        f"`{manifest.model}` for {len(manifest.dimensions)} dimensions, trained on {entities} "
        f"{'entity' if entities == 1 else 'entities'}, one point every "
        f"{manifest.period_seconds:g} s. A point is anomalous when its score is above 1; the "
        f"budget of false incidents per entity-day is {manifest.default_budget:g}. The first "
        f"{manifest.memory_horizon - 1} points of an entity warm it up and have no score."
    )


def _measures(evaluation: Evaluation) -> str:
    if not evaluation.rows:
        return "## Detection\n\nThe data have no labelled test half: nothing could be measured."
    labelled = [m for m in evaluation.entities if any(m.values())]
    return (
        f"## Detection\n\n{markdown(*table(evaluation.rows))}\n\n"
        f"Mean over {len(labelled)} labelled test series, each measured alone, point by point as "
        "the service would answer, on the points that were scored. The *bundle* decides by its "
        "score and ranks by its severity; *score* is what it would rank by its score; *untrained* "
        "is the same bundle around a network with its initial weights, *PCA* the squared error of "
        "D / 4 components, *input* the scaled values themselves. An oracle chooses its threshold "
        "on the labels: a ceiling, not a result; composite F1, events found, false alarm episodes "
        "per entity-day and delay are those of the threshold that serves. "
        "Attribution averages the contributions over each labelled segment, found or not."
    )


def _entities(evaluation: Evaluation) -> str:
    if len(evaluation.entities) < 2 or not evaluation.rows:
        return ""
    shown = ("average_precision", "vus_pr", "event_recall", "false_episodes_per_day")
    lines = [
        [series.entity, *(cell(measures["bundle"].get(name)) for name in shown)]
        for series, measures in zip(evaluation.series, evaluation.entities, strict=True)
    ]
    more = f"\n\n{len(lines) - MAX_ENTITIES} more." if len(lines) > MAX_ENTITIES else ""
    head = ["entity", *(MEASURES[name] for name in shown)]
    return f"### By entity\n\n{markdown(head, lines[:MAX_ENTITIES])}{more}"


def _trade_off(material: Material) -> str:
    bundle, observed = material.bundle, material.incidents
    if not observed:
        return ""
    chosen = bundle.manifest.default_budget
    png(draw_budgets(BUDGETS, observed, chosen=chosen), bundle.folder / "budget.png")
    nearest = int(np.abs(np.log(BUDGETS / chosen)).argmin())
    said = "; ".join(f"{name}: {rates[nearest]:.2f}" for name, rates in observed.items())
    return (
        "## Budget\n\n![incidents per entity-day against the budget](budget.png)\n\n"
        f"Incidents per entity-day at a budget of {BUDGETS[nearest]:.2g}: {said}. p-values below "
        f"{bundle.manifest.supported_p:.2g} are extrapolated."
    )


def _training(folder: Path) -> str:
    history = read_history(folder)
    if history is None:
        return ""
    if not history["epochs"]:
        return "## Training\n\nThe network is untrained."
    best = history["best_epoch"]
    png(draw_loss(history["epochs"], best_epoch=best), folder / "loss.png")
    return f"## Training\n\n![loss](loss.png)\n\nThe weights of epoch {best} were kept."


def _figures(bundle: Bundle) -> str:
    manifest = bundle.manifest
    views = [
        f"- {view.member}: {view.power}, half-life {view.half_life_points:.0f} points, "
        f"{view.aggregation}{f' {view.top}' if view.aggregation == 'top_mean' else ''}, "
        f"floor {view.floor:g}, {view.role}"
        for view in manifest.views
    ]
    parity = [[name, f"{value:.3g}"] for name, value in sorted(manifest.parity.items())]
    return "\n\n".join(
        [
            "## Export",
            markdown(["largest difference", "scaled units"], parity),
            f"{horizon(manifest)} Window: {manifest.window_length} points. `batch`: the same "
            "point alone and in a batch.",
            "## Views",
            "\n".join(views),
        ]
    )


def horizon(manifest: Manifest) -> str:
    """How long the model remembers, in words."""
    if manifest.is_horizon_reached:
        return f"Memory horizon: {manifest.memory_horizon} points."
    return (
        f"Memory horizon: not reached within {manifest.memory_horizon} points, the most that was "
        "measured. A state that started later than that still differs from one carried all along, "
        "so the first scores of an entity may be less exact."
    )


def _data(material: Material) -> str:
    training = material.bundle.manifest.training
    known = [[name, f"{value}"] for name, value in sorted(training.items())]
    return "\n\n".join(
        [
            "## Data and configuration",
            markdown(*table_of(material.parts)),
            markdown(["what", "value"], known),
        ]
    )
