"""The disk: files that are whole or not there, fingerprints, and one writer at a time."""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import numpy as np

from service.errors import SettingInvalid
from service.scoring.series import Series

DRAFT = ".draft"  # suffix of what is still being written


def write_whole(path: Path, content: bytes) -> None:
    """Write beside, then rename: nobody ever finds half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}{DRAFT}")
    draft.write_bytes(content)
    draft.replace(path)


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A folder to fill, which takes its place only when it is full."""
    draft = folder.with_name(f"{folder.name}.{os.getpid()}{DRAFT}")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    try:
        yield draft
        shutil.rmtree(folder, ignore_errors=True)
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def sweep(output: Path) -> None:
    """Remove what a run that was killed was still writing."""
    for draft in list(output.rglob(f"*{DRAFT}")):
        if draft.is_dir():
            shutil.rmtree(draft, ignore_errors=True)
        else:
            draft.unlink(missing_ok=True)


@contextmanager
def only_writer(output: Path) -> Iterator[None]:
    """Hold the folder; raise SettingInvalid while another process does, or where it cannot be."""
    try:
        output.mkdir(parents=True, exist_ok=True)
        lock = (output / ".lock").open("w")
    except OSError as problem:
        raise SettingInvalid(f"cannot write into {output}: {problem}") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SettingInvalid(f"another benchmark is writing into {output}") from None
        try:
            sweep(output)
            yield
        finally:
            sweep(output)


# ---- fingerprints


def fingerprint(parts: object) -> str:
    """Of anything that JSON can say."""
    return digest_of(json.dumps(parts, sort_keys=True).encode())[:32]


def digest_of(content: bytes) -> str:
    """sha256."""
    return sha256(content).hexdigest()


def digest_of_folder(folder: Path) -> str:
    """Of every file in it, with its name."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    names = [(str(path.relative_to(folder)), digest_of(path.read_bytes())) for path in files]
    return fingerprint(names)


def digest_of_series(series: Series) -> str:
    """Of everything a series tells."""
    known = sha256()
    known.update(np.ascontiguousarray(series.values, np.float64).tobytes())
    known.update(np.ascontiguousarray(series.timestamps_ms, np.int64).tobytes())
    if series.label is not None:
        known.update(np.packbits(series.label).tobytes())
    segments = [(one.start, one.end, list(map(int, one.dimensions))) for one in series.segments]
    return fingerprint([series.entity, series.dimensions, segments, known.hexdigest()])


def digest_of_source(root: Path, *folders: str) -> str:
    """Of the Python files below the folders of `root`."""
    return fingerprint([digest_of(f.read_bytes()) for n in folders for f in _python(root / n)])


def _python(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))
