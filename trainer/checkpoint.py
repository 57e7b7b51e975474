"""Checkpoints: a training on disk, from which a killed run goes on to the same weights.

    last.npz          the whole training: weights, optimiser, random state, best weights, history
    epoch-0010.npz    the same, one file every n epochs
    best.npz          the best weights so far, and nothing else

Arrays and JSON, no pickle. A file is written beside its place and then moved there, so that a kill
leaves the one before or the one after.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from service.errors import SettingInvalid, TrainingFailed
from trainer.memory import Checkpoint, Memory, part

TOLD = "told"  # the array of a file that holds JSON


@dataclass(frozen=True)
class Keeper:
    """Keeps the checkpoints of one training in a folder."""

    folder: Path
    every: int  # epochs
    is_resumed: bool
    identity: Mapping[str, object] = field(default_factory=dict)  # of whom a checkpoint must be

    def of(self, config: Mapping[str, object], training_sha256: str) -> "Keeper":
        """For the training of this; what another run left there is removed, or gone on with."""
        if not self.is_resumed:
            shutil.rmtree(self.folder, ignore_errors=True)
        return replace(self, identity={"training_sha256": training_sha256, "config": config})

    def last(self) -> Checkpoint | None:
        """Where to go on; None at the beginning. Raises SettingInvalid for another training's."""
        path = self.folder / "last.npz"
        if not self.is_resumed or not path.is_file():
            return None
        found = _read(path)
        _expect_same(found.told["identity"], self.identity, path)
        return found

    def is_due(self, epoch: int, *, is_over: bool) -> bool:
        """Whether an epoch is kept; the last one always is."""
        return is_over or epoch % self.every == 0

    def keep(self, epoch: int, found: Checkpoint) -> None:
        """Write the training after an epoch, and the best weights so far."""
        self.folder.mkdir(parents=True, exist_ok=True)
        whole = {**found.memory, TOLD: _text({**found.told, "identity": self.identity})}
        if epoch % self.every == 0:
            _write(self.folder / f"epoch-{epoch:04}.npz", whole)
        _write(self.folder / "best.npz", part("best", found.memory))
        _write(self.folder / "last.npz", whole)


def _expect_same(known: Mapping[str, Any], now: Mapping[str, Any], path: Path) -> None:
    before, wanted = dict(known["config"]), dict(now["config"])
    other = sorted(
        f"{key} {before.get(key, 'by default')} (now {wanted.get(key, 'by default')})"
        for key in before.keys() | wanted.keys()
        if before.get(key) != wanted.get(key)
    )
    if known["training_sha256"] != now["training_sha256"]:
        other.append("other data")
    if other:
        raise SettingInvalid(f"{path} cannot be resumed: it was trained with {', '.join(other)}")


def _text(told: Mapping[str, Any]) -> np.ndarray[Any, np.dtype[np.str_]]:
    return np.array(json.dumps(told))


def _write(path: Path, arrays: Memory) -> None:
    draft = path.with_suffix(".draft")
    with draft.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
    draft.replace(path)


def _read(path: Path) -> Checkpoint:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            memory = {name: arrays[name] for name in arrays.files}
        return Checkpoint(json.loads(str(memory.pop(TOLD))), memory)
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise TrainingFailed(f"{path} is no checkpoint: {error}") from None
