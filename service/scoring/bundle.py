"""The bundle: the folder a model leaves the trainer as. Load, verify, write.

<name>/<version>/bundle.json      the manifest, see manifest.py
                 calibration.npz  arrays per entity, float64; row 0 is the pooled entity
                 step.onnx        one point and the carried state -> errors and the next state
                 window.onnx      a whole window -> errors of its last point; the reference
                 report.md        what a person should know
                 report.html      the same at length, in one file
<name>/current                    the version that serves first
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.lib.npyio import NpzFile
from pydantic import ValidationError

from service.errors import BundleInvalid, UnknownBundle
from service.scoring.calibration import Calibration, usual_cap
from service.scoring.manifest import File, Manifest, StateTensor, View

__all__ = [
    "Bundle",
    "Calibration",
    "File",
    "Manifest",
    "StateTensor",
    "View",
    "find_bundles",
    "load_bundle",
    "read_manifest",
    "sha256_of",
    "write_calibration",
    "write_manifest",
]

VERSION_CHARACTERS = 12
MAX_GRAPH_BYTES = 512 * 1024**2


@dataclass(frozen=True)
class Bundle:
    """A verified bundle."""

    folder: Path
    manifest: Manifest
    calibration: Calibration

    @cached_property
    def entity_indices(self) -> dict[str, int]:
        """Row of each entity in the calibration; an entity not here is scored with row 0."""
        return {entity: index for index, entity in enumerate(self.manifest.entities, start=1)}

    @property
    def title(self) -> str:
        """`name/version`, as answers and metrics show it."""
        return f"{self.manifest.name}/{self.manifest.version}"


def sha256_of(path: Path) -> str:
    """Digest of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_manifest(folder: Path, manifest: Manifest) -> Manifest:
    """Write `bundle.json`, with the version its content gives it."""
    versioned = manifest.model_copy(update={"version": manifest.digest[:VERSION_CHARACTERS]})
    (folder / "bundle.json").write_text(versioned.model_dump_json(indent=1) + "\n")
    return versioned


def write_calibration(folder: Path, calibration: Calibration) -> File:
    """Write `calibration.npz`, the same bytes for the same arrays; `cap` only where it differs."""
    arrays = {field.name: getattr(calibration, field.name) for field in fields(calibration)}
    if np.array_equal(calibration.cap, usual_cap(calibration.is_constant)):
        del arrays["cap"]
    path = folder / "calibration.npz"
    np.savez_compressed(path, allow_pickle=False, **arrays)
    return File(file=path.name, sha256=sha256_of(path))


def load_bundle(path: Path) -> Bundle:
    """Load and verify a bundle folder, or the current version of a folder of versions.

    Raises BundleInvalid for anything missing, changed or not of the contract.
    """
    folder = _version_folder(path)
    manifest = read_manifest(folder)
    for file in (manifest.step, manifest.window, manifest.calibration):
        _verify(folder / file.file, file.sha256)
    calibration = _read_calibration(folder / manifest.calibration.file)
    if problems := list(calibration.unlike(manifest)):
        raise BundleInvalid(f"{folder / manifest.calibration.file}: {'; '.join(problems)}")
    return Bundle(folder=folder, manifest=manifest, calibration=calibration)


def find_bundles(root: Path) -> Iterator[Path]:
    """The current version folder of every bundle under `root`, by name."""
    for current in sorted(root.glob("*/current")):
        yield _version_folder(current.parent)


def _version_folder(path: Path) -> Path:
    if (path / "bundle.json").is_file():
        return path
    current = path / "current"
    if not current.is_file():
        raise UnknownBundle(f"expected a bundle at {path}, found neither bundle.json nor current")
    return path / current.read_text().strip()


def read_manifest(folder: Path) -> Manifest:
    """What `bundle.json` says. Raises UnknownBundle, BundleInvalid."""
    path = folder / "bundle.json"
    try:
        manifest = Manifest.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise UnknownBundle(f"expected a manifest at {path}, found none") from None
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors()
        )
        raise BundleInvalid(f"{path} breaks the contract: {problems}") from None
    if manifest.version != manifest.digest[:VERSION_CHARACTERS]:
        raise BundleInvalid(
            f"{path} says version {manifest.version!r}, its content has digest {manifest.digest}"
        )
    return manifest


def _verify(path: Path, sha256: str) -> None:
    if not path.is_file() or path.is_symlink():
        raise BundleInvalid(f"expected the file {path}, found none")
    if path.stat().st_size > MAX_GRAPH_BYTES:
        raise BundleInvalid(f"{path} is longer than {MAX_GRAPH_BYTES} bytes")
    if (found := sha256_of(path)) != sha256:
        raise BundleInvalid(f"{path} was changed: expected sha256 {sha256}, found {found}")


def _read_calibration(path: Path) -> Calibration:
    names = {field.name for field in fields(Calibration)}
    try:
        with path.open("rb") as file, NpzFile(file, allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in arrays.files}
    except (ValueError, OSError, BadZipFile) as error:
        raise BundleInvalid(f"{path} cannot be read: {error}") from None
    if set(found) | {"cap"} != names:
        raise BundleInvalid(f"{path} must hold {sorted(names)}, holds {sorted(found)}")
    return Calibration(**{"cap": usual_cap(found["is_constant"]), **found})
