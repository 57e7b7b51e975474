"""A fleet on disk: NPZ as `read_series` takes it, CSV for a spreadsheet."""

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import numpy as np

from service.simulator.fleet import SimulatedEntity


def write_npz(fleet: Sequence[SimulatedEntity], folder: Path) -> list[Path]:
    """One NPZ per entity, both parts, readable by `read_series`; `timestamps` in Unix seconds."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for entity in fleet:
        paths.append(folder / f"{entity.name}.npz")
        stamps = np.concatenate([entity.train_timestamps_ms, entity.test_timestamps_ms])
        segments = [[fault.start, fault.end, fault.dimensions] for fault in entity.faults]
        np.savez_compressed(
            paths[-1],
            train=entity.train,
            test=entity.test,
            label=entity.label.astype(np.uint8),
            interpretation=np.array(json.dumps(segments)),
            timestamps=stamps / 1000,
            dimensions=np.array(entity.dimensions),
            faults=np.array(json.dumps([asdict(fault) for fault in entity.faults])),
        )
    return paths


def write_csv(
    fleet: Sequence[SimulatedEntity], folder: Path, *, part: Literal["train", "test"] = "test"
) -> list[Path]:
    """One CSV per entity for a spreadsheet: timestamp, dimensions, label, culprits (`a|b`)."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for entity in fleet:
        paths.append(folder / f"{entity.name}.csv")
        with paths[-1].open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["timestamp", *entity.dimensions, "label", "culprits"])
            writer.writerows(_csv_rows(entity, part))
    return paths


def _csv_rows(entity: SimulatedEntity, part: Literal["train", "test"]) -> Iterator[list[str]]:
    is_test = part == "test"
    values = entity.test if is_test else entity.train
    stamps = entity.test_timestamps_ms if is_test else entity.train_timestamps_ms
    culprits = [""] * len(values)
    for fault in entity.faults if is_test else ():
        names = "|".join(fault.names)
        culprits[fault.start : fault.end + 1] = [names] * (fault.end - fault.start + 1)
    times = np.datetime_as_string(stamps.astype("datetime64[ms]"), timezone="UTC")
    for time, row, names in zip(times.tolist(), values.tolist(), culprits, strict=True):
        cells = ["" if value != value else f"{value:.15g}" for value in row]
        yield [time, *cells, "1" if names else "0", names]
