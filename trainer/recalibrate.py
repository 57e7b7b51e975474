"""Recalibration: a bundle's graphs as they are, and what lies beside them fitted to newer points.

The graphs hold the weights, and of every entity the width of its scaling. Beside them, in
`calibration.npz`, lie its centre, the seeds of the normaliser, the tails, bands and kappa: these
are fitted anew, for every entity of the bundle that the points are of. Row 0, which serves all
others, is fitted to every series given, where they are all the entities of the bundle, or where
some of them are new to it.
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from service.errors import TrainingFailed
from service.scoring.bundle import (
    Bundle,
    Calibration,
    load_bundle,
    write_calibration,
    write_manifest,
)
from service.scoring.calibration import usual_cap
from service.scoring.fold import Fold
from service.scoring.offline import score_series
from service.scoring.series import Series
from trainer.budget import budget_of
from trainer.build import WARM_UP_WINDOWS, moving
from trainer.calibrate import Row, fit_rows
from trainer.fit import digest_of
from trainer.material import HISTORY
from trainer.observe import FloatArray, Stretch
from trainer.thresholds import Choice, level
from trainer.windows import impute, medians


@dataclass(frozen=True)
class Wish:
    """What a recalibration is to do besides."""

    budget: float | None = None  # None: the budget of the bundle
    keeps_center: bool = False
    threshold: Choice | None = None  # the budget is the one that deploys it, instead


def recalibrate(
    bundle: Bundle,
    series: Sequence[Series],
    output: Path,
    *,
    wish: Wish,
    on_point: Callable[[int], None] | None = None,
) -> Bundle:
    """Write `output/<name>/<version>/` and make it current; raises TrainingFailed."""
    rows = rows_of(bundle, series)
    budget = bundle.manifest.default_budget if wish.budget is None else wish.budget
    manifest = bundle.manifest.model_copy(update={"default_budget": budget})
    center = bundle.calibration.center if wish.keeps_center else _centers(bundle, rows)
    draft = replace(bundle, manifest=manifest, calibration=_moved(bundle, rows, center))
    given = rows.get(0, []) or [one for own in rows.values() for one in own]
    stretches = [_stretch(draft, one) for one in given]
    found = fit_rows(draft, stretches, on_point=on_point)
    calibration = _with(draft.calibration, {index: found[index] for index in rows})
    supported_p = 1.0 / min(len(stretch.values) - stretch.warm_up for stretch in stretches)
    if len(rows) <= len(manifest.entities):  # some rows stay as they were
        supported_p = max(supported_p, manifest.supported_p)
    origin = {
        "recalibrated_from": bundle.manifest.version,
        "recalibrated_sha256": digest_of(series),
    }
    changes: dict[str, object] = {
        "supported_p": supported_p,
        "training": {**manifest.training, **origin},
    }
    new = replace(draft, calibration=calibration)
    if wish.threshold is not None:
        changes["default_budget"] = _budget(new, series, wish.threshold)
    return _written(new, changes, output)


def _budget(bundle: Bundle, series: Sequence[Series], choice: Choice) -> float:
    """Mean over entities of the budgets that deploy a threshold on their scores."""
    scored = score_series(Fold(bundle), series)
    found = [
        budget_of(bundle, one.entity, level(choice, own.score[np.isfinite(own.score)]))
        for one, own in zip(series, scored, strict=True)
    ]
    if not np.isfinite(found).any():
        raise TrainingFailed(f"no budget flags as many, or as few, points as {choice} does")
    return float(np.nanmean(found))


def rows_of(bundle: Bundle, series: Sequence[Series]) -> dict[int, list[Series]]:
    """The rows of the calibration that series are fitted to, and the series of each."""
    rows = {
        bundle.entity_indices[one.entity]: [one]
        for one in series
        if one.entity in bundle.entity_indices
    }
    has_new = len(rows) < len(series)
    return {0: list(series), **rows} if has_new or len(rows) == len(bundle.entity_indices) else rows


def _centers(bundle: Bundle, rows: Mapping[int, Sequence[Series]]) -> FloatArray:
    """Medians of the new points; what is a switch, or has no value, stays where it was."""
    center = bundle.calibration.center.copy()
    is_switch = bundle.calibration.cap < usual_cap(bundle.calibration.is_constant)
    for index, own in rows.items():
        values = np.vstack([one.values for one in own])
        is_fixed = is_switch[index] | np.isnan(values).all(axis=0)
        center[index] = np.where(is_fixed, center[index], medians(values))
    return center


def _moved(bundle: Bundle, rows: Mapping[int, Sequence[Series]], center: FloatArray) -> Calibration:
    """The calibration around its new centres; a dimension that moves now is no longer constant."""
    old = bundle.calibration
    is_constant = old.is_constant.copy()
    for index, own in rows.items():
        is_constant[index] &= ~np.any([moving(one.values) for one in own], axis=0)
    is_switch = old.cap < usual_cap(old.is_constant)
    cap = np.where(is_switch, old.cap, usual_cap(is_constant))
    return replace(old, center=center, is_constant=is_constant, cap=cap)


def _stretch(draft: Bundle, series: Series) -> Stretch:
    """All points of a series, the first of which warm the state."""
    index = draft.entity_indices.get(series.entity, 0)
    center, manifest = draft.calibration.center[index], draft.manifest
    warm_up = max(WARM_UP_WINDOWS * manifest.window_length, manifest.memory_horizon)
    return Stretch(
        index,
        warm_up=min(warm_up, len(series.values)),
        values=(impute(series.values, center) - center).astype(np.float32),
        is_missing=np.isnan(series.values),
    )


def _with(calibration: Calibration, rows: Mapping[int, Row]) -> Calibration:
    """The calibration with some of its rows in place of the old."""
    arrays = {}
    for field in fields(Row):
        array = getattr(calibration, field.name).copy()
        for index, row in rows.items():
            array[index] = getattr(row, field.name)
        arrays[field.name] = array
    return replace(calibration, **arrays)


def _written(bundle: Bundle, changes: Mapping[str, object], output: Path) -> Bundle:
    root = output / bundle.manifest.name
    draft = root / "draft"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    for name in (bundle.manifest.step.file, bundle.manifest.window.file, HISTORY):
        if (bundle.folder / name).is_file():
            shutil.copyfile(bundle.folder / name, draft / name)
    file = write_calibration(draft, bundle.calibration)
    created_at = datetime.now(UTC).isoformat(timespec="seconds")
    update = {"calibration": file, "created_at": created_at, "metrics": {}, "report": "", **changes}
    version = write_manifest(draft, bundle.manifest.model_copy(update=update)).version
    shutil.rmtree(root / version, ignore_errors=True)
    draft.rename(root / version)
    (root / "current").write_text(version + "\n")
    return load_bundle(root / version)
