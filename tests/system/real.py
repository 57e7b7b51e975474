"""What a clone may lack: shipped bundles and the real data sets. Without them tests skip loudly."""

import os
from pathlib import Path

import numpy as np
import pytest

from tests.system.processes import ROOT


def shipped_bundle(name: str) -> Path:
    """Folder of a bundle in `exported_models`."""
    folder = ROOT / "exported_models" / name
    if not (folder / "current").is_file():
        pytest.skip(f"NOT TESTED: there is no bundle {name} in exported_models")
    return folder


BUDGET = 20.0  # false incidents per entity-day: a short stretch is to have some incidents


def real_stretch(path: str, folder: Path, *, points: int) -> Path:
    """Part of the test half of a data set, from before its first labelled anomaly."""
    data = Path(os.environ.get("GAUGEWATCH_DATA") or ROOT.parent / "shared" / "data")
    source = data / path
    if not source.is_file():
        pytest.skip(f"NOT TESTED: there is no {source} (set GAUGEWATCH_DATA)")
    with np.load(source) as arrays:
        first = max(0, int(np.argmax(arrays["label"])) - points // 2)
        part = slice(first, first + points)
        file = folder / source.name
        np.savez(file, train=arrays["train"][:1], test=arrays["test"][part])
    columns = source.parent / "columns.json"
    if columns.is_file():
        (folder / "columns.json").write_text(columns.read_text())
    return file
