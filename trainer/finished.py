"""The marker of a finished fit: what was made of which data; a killed run goes on behind it.

`finished.json` stands in the folder of a bundle's name. It counts only while the knobs and the data
are the same, and while the version that it names is whole.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from service.errors import BundleInvalid, UnknownBundle
from service.scoring.bundle import Bundle, load_bundle
from service.scoring.series import Series
from trainer.fit import digest_of

MARKER = "finished.json"


def identity_of(told: Mapping[str, object], *halves: Sequence[Series]) -> str:
    """SHA-256 of what a fit is told and of its data, labels included."""
    sha = hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode())
    for half in halves:
        sha.update(digest_of(half).encode())
        for one in half:
            sha.update(b"" if one.label is None else one.label.tobytes())
            sha.update(repr(one.segments).encode())
    return sha.hexdigest()


def mark(bundle: Bundle, identity: str, *, seconds: float) -> None:
    """Say that a bundle is finished."""
    path = bundle.folder.parent / MARKER
    draft = path.with_suffix(".draft")
    told = {"identity": identity, "version": bundle.manifest.version, "seconds": seconds}
    draft.write_text(json.dumps(told) + "\n")
    draft.replace(path)


def unmark(folder: Path) -> None:
    """Say that a bundle of this name is being made."""
    (folder / MARKER).unlink(missing_ok=True)


def finished(folder: Path, identity: str) -> tuple[Bundle, float] | None:
    """The finished bundle and the seconds it took; None where there is none of this identity."""
    try:
        told = json.loads((folder / MARKER).read_text())
        bundle, seconds = load_bundle(folder), float(told["seconds"])
        is_same = (told["identity"], told["version"]) == (identity, bundle.manifest.version)
    except (OSError, ValueError, LookupError, TypeError, BundleInvalid, UnknownBundle):
        return None
    return (bundle, seconds) if is_same else None
