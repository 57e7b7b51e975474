"""The files of a bundle that came with a request: found in what was sent, written to a folder.

Only the manifest and the files that it names are taken, under plain names, and nothing is longer
than what was allowed in all. This runs in the child (upload_child.py), under its limits.
"""

import io
import lzma
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Final

from msgspec import UNSET
from pydantic import ValidationError

from service.errors import BundleInvalid
from service.scoring.manifest import Manifest
from service.web.detect_columns import Packed

MANIFEST: Final = "bundle.json"
MAX_ENTRIES: Final = 1_000
_UNREADABLE: Final = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError),
    *(RuntimeError, ValueError),  # with a password; of another kind
)

Files = Mapping[str, int]  # name -> bytes it has, by its own account
Read = Callable[[str], bytes]


def write_bundle(came: Packed, folder: Path, *, max_bytes: int) -> Path:
    """The version folder, below `folder`, with what is needed of it. Raises BundleInvalid."""
    if came.bundle_zip is not UNSET:
        try:
            with zipfile.ZipFile(io.BytesIO(came.bundle_zip)) as archive:
                files = {info.filename: info.file_size for info in archive.infolist()}
                return _written(files, archive.read, folder, max_bytes=max_bytes)
        except _UNREADABLE:
            raise BundleInvalid("expected a zip of the folder of one version") from None
    assert came.bundle is not UNSET
    sent = came.bundle
    files = {name: len(content) for name, content in sent.items()}
    return _written(files, lambda name: bytes(sent[name]), folder, max_bytes=max_bytes)


def _written(files: Files, read: Read, folder: Path, *, max_bytes: int) -> Path:
    home = _home(files)
    _check_size(files, [str(home / MANIFEST)], max_bytes)
    text = read(str(home / MANIFEST))
    try:
        manifest = Manifest.model_validate_json(text)
    except ValidationError as error:
        where = ", ".join(".".join(map(str, one["loc"])) for one in error.errors()[:5])
        raise BundleInvalid(f"{MANIFEST} breaks the contract at {where or 'its start'}") from None
    named = [each.file for each in (manifest.step, manifest.window, manifest.calibration)]
    wanted = {str(home / name): name for name in (MANIFEST, *named)}
    if missing := [name for path, name in wanted.items() if path not in files]:
        raise BundleInvalid(f"expected the files that {MANIFEST} names; {missing[0]} did not come")
    _check_size(files, list(wanted), max_bytes)
    version = folder / manifest.name / manifest.version[:64].replace("/", "")
    version.mkdir(parents=True)
    for path, name in wanted.items():
        (version / name).write_bytes(read(path))
    return version


def _home(files: Files) -> PurePosixPath:
    """The folder, among what was sent, that holds the manifest."""
    if len(files) > MAX_ENTRIES:
        raise BundleInvalid(f"expected at most {MAX_ENTRIES} files, came {len(files)}")
    found = [path for path in map(PurePosixPath, files) if path.name == MANIFEST]
    if len(found) != 1:
        raise BundleInvalid(f"expected one {MANIFEST}, came {len(found)}")
    return found[0].parent


def _check_size(files: Files, paths: list[str], max_bytes: int) -> None:
    size = sum(files.get(path, 0) for path in paths)
    if size > max_bytes:
        raise BundleInvalid(f"expected at most {max_bytes} bytes in all files, came {size}")
