"""A small bundle of every model, exported once for all workers: the exporter of PyTorch is slow."""

import fcntl
import os
from pathlib import Path

import pytest

from service.scoring.bundle import Bundle, load_bundle
from tests.trainer import small
from trainer.build import build_bundle
from trainer.config import Model
from trainer.fit import fit
from trainer.material import write_history


def entity_of(model: str) -> str:
    """An entity that no other of these bundles knows."""
    return f"of-{model.replace('_', '-')}"


def bundle_of(model: Model, factory: pytest.TempPathFactory) -> Bundle:
    """Two entities, trained for a blink. Who changes its files copies them before."""
    folder = folder_of_all(factory)
    folder.mkdir(exist_ok=True)
    with folder.with_name(f"{model}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / model / "current").exists():
            _make(model, folder)
    return load_bundle(folder / model)


def folder_of_all(factory: pytest.TempPathFactory) -> Path:
    """Where these bundles are; the workers of one run share it."""
    own = factory.getbasetemp()
    return (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "one-of-every-model"


def _make(model: Model, folder: Path) -> None:
    entity = entity_of(model)
    series = [small.series(entity), small.series(f"{entity}-too", level=3.0)]
    fitted = fit(series, small.tiny(model))
    bundle = build_bundle(fitted, folder, name=model, period_seconds=60)
    write_history(bundle.folder, fitted.history, best_epoch=fitted.best_epoch)
