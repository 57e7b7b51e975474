"""From a fitted model to a bundle: export, calibrate, write the manifest, name the version."""

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from service.scoring.bundle import (
    Bundle,
    Calibration,
    File,
    Manifest,
    load_bundle,
    write_calibration,
    write_manifest,
)
from service.scoring.calibration import usual_cap
from service.scoring.tail import KNOTS
from trainer.calibrate import calibrate
from trainer.chunks import stacked
from trainer.export import Exported, export
from trainer.fit import Fitted
from trainer.observe import BoolArray, FloatArray, Stretch
from trainer.switches import switch_cap
from trainer.trim import facts
from trainer.views import default_views

WARM_UP_WINDOWS = 4  # before the calibration part, or the memory horizon if that is longer
DEFAULT_BUDGET = 2.0  # false incidents per entity and day; docs/detection-notes.md, 11


def build_bundle(
    fitted: Fitted,
    output: Path,
    *,
    name: str,
    period_seconds: float,
    on_point: Callable[[int], None] | None = None,
) -> Bundle:
    """Write `output/<name>/<version>/` and make it current.

    `on_point` hears how many calibration points were scored since it was last called.
    """
    draft_folder = output / name / "draft"
    shutil.rmtree(draft_folder, ignore_errors=True)
    exported = export(fitted, draft_folder)
    manifest = _manifest(fitted, exported, name=name, period_seconds=period_seconds)
    draft = Bundle(draft_folder, manifest, _blank_calibration(fitted, manifest))
    stretches = [
        held_out(fitted, index, memory_horizon=exported.memory_horizon)
        for index in range(1, len(fitted.entities) + 1)
    ]
    calibration = calibrate(draft, stretches, on_point=on_point)
    file = write_calibration(draft_folder, calibration)
    manifest = write_manifest(draft_folder, manifest.model_copy(update={"calibration": file}))
    folder = output / name / manifest.version
    shutil.rmtree(folder, ignore_errors=True)
    draft_folder.rename(folder)
    (output / name / "current").write_text(manifest.version + "\n")
    return load_bundle(folder)


def _manifest(fitted: Fitted, exported: Exported, *, name: str, period_seconds: float) -> Manifest:
    held_out = [part.calibration.stop - part.calibration.start for part in fitted.splits]
    train_points = int(np.median([len(series.values) for series in fitted.series]))
    dimensions = len(fitted.dimensions)
    return Manifest(
        name=name,
        model=fitted.config.model,
        dimensions=fitted.dimensions,
        entities=fitted.entities,
        period_seconds=period_seconds,
        window_length=fitted.config.window_length,
        memory_horizon=exported.memory_horizon,
        is_horizon_reached=exported.is_horizon_reached,
        members=exported.members,
        state=exported.state,
        step=exported.step,
        window=exported.window,
        calibration=File(file="calibration.npz", sha256="0" * 64),
        views=tuple(default_views(fitted.config, dimensions=dimensions, train_points=train_points)),
        default_budget=DEFAULT_BUDGET,
        supported_p=1.0 / min(held_out),
        parity=exported.parity,
        training={
            **_told_of(fitted),
            "training_sha256": fitted.training_sha256,
            "best_epoch": fitted.best_epoch,
            **(facts(fitted.entities, fitted.trimmed) if fitted.trimmed else {}),
            **exported.versions,
        },
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _told_of(fitted: Fitted) -> dict[str, str | int | float | bool]:
    """The knobs as they were chosen, so that other rows are counted anew; and what was counted."""
    told = fitted.chosen.model_dump(exclude_none=True)
    if fitted.config.epoch_steps == fitted.chosen.epoch_steps:
        return told
    return {**told, "counted_epoch_steps": fitted.config.epoch_steps}


def _blank_calibration(fitted: Fitted, manifest: Manifest) -> Calibration:
    """What is known before the first error: centres, what never moved, and what is a switch."""
    is_constant = never_moved(fitted)
    own = [series.values for series in fitted.series]
    switches = np.stack([switch_cap(values) for values in (stacked(own), *own)])
    rows, dimensions, views = len(fitted.entities) + 1, len(manifest.dimensions), manifest.views
    return Calibration(
        center=fitted.linear.scaling.center,
        seed=np.zeros((rows, len(views), dimensions, 2)),
        knots=np.zeros((rows, len(views) + 1, KNOTS)),
        tail=np.ones((rows, len(views) + 1, 4)),
        excess=np.ones((rows, len(views))),
        band=np.ones((rows, dimensions)),
        kappa=np.ones(rows),
        is_constant=is_constant,
        cap=np.minimum(usual_cap(is_constant), switches),
    )


def never_moved(fitted: Fitted) -> BoolArray:
    """Dimensions (entity, dimension) that are constant where the model was fitted.

    One that first moves in a later part is a surprise to the model, as it would be when serving.
    """
    moves = [
        moving(series.values[part.fit])
        for series, part in zip(fitted.series, fitted.splits, strict=True)
    ]
    return ~np.stack([np.any(moves, axis=0), *moves])


def moving(values: FloatArray) -> BoolArray:
    """Dimensions with at least two different values; one without any does not move."""
    highest = np.max(values, axis=0, initial=-np.inf, where=~np.isnan(values))
    lowest = np.min(values, axis=0, initial=np.inf, where=~np.isnan(values))
    return np.asarray(highest > lowest)


def held_out(fitted: Fitted, index: int, *, memory_horizon: int) -> Stretch:
    """The calibration part of an entity, and as many rows before it as warm the state."""
    part = fitted.splits[index - 1].calibration
    warm_up = max(WARM_UP_WINDOWS * fitted.config.window_length, memory_horizon)
    first = max(0, part.start - warm_up)
    values = fitted.rows(index)[first : part.stop] - fitted.linear.scaling.center[index]
    return Stretch(
        index,
        warm_up=part.start - first,
        values=values.astype(np.float32),
        is_missing=np.isnan(fitted.series[index - 1].values[first : part.stop]),
    )
