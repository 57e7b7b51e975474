"""The recording: a folder of Parquet files of posted points, whole or not there, and not for ever.

`<bundle>/<digest of the dimensions>/<first timestamp>-<random>.parquet` in it.
"""

import hashlib
import json
import os
import re
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
import numpy.typing as npt

from service.errors import SettingInvalid
from service.scoring.parquet_columns import pyarrow
from service.scoring.series_parquet import RECORDED

OURS: Final = re.compile(r"\d+-[0-9a-f]{8}\.parquet(\.part)?")  # nothing else is ever removed
PART: Final = ".part"  # of a file that is being written, or was when its process was killed
DIGEST_CHARACTERS: Final = 12
DAY_SECONDS: Final = 86_400.0


@dataclass(frozen=True, eq=False)
class Recorded:
    """Points of one bundle, as they were posted."""

    bundle: str
    dimensions: tuple[str, ...]
    entities: Sequence[str]
    owners: npt.NDArray[np.int32]  # (point,) number of its entity
    timestamps_ms: npt.NDArray[np.int64]  # (point,)
    values: npt.NDArray[np.float64]  # (point, dimension) NaN = missing


class Recording:
    """Writes files, and removes those written more than `keep_days` ago."""

    def __init__(self, folder: Path, *, keep_days: float) -> None:
        self.folder = folder
        self._keep_seconds = keep_days * DAY_SECONDS

    def prepare(self) -> None:
        """Find out now what would go wrong later. Raises SettingInvalid."""
        pyarrow()
        probe = self.folder / f".probe-{secrets.token_hex(4)}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            probe.touch()
            probe.unlink()
        except OSError as problem:
            raise SettingInvalid(f"cannot record into {self.folder}: {problem}") from problem

    def write(self, posted: Recorded) -> Path:
        """One file; it appears under its name when it is whole and on disk."""
        digest = hashlib.sha256(json.dumps(posted.dimensions).encode()).hexdigest()
        folder = self.folder / posted.bundle / digest[:DIGEST_CHARACTERS]
        folder.mkdir(parents=True, exist_ok=True)
        first_ms = int(posted.timestamps_ms.min())
        path = folder / f"{first_ms:013d}-{secrets.token_hex(4)}.parquet"
        part = path.with_name(path.name + PART)
        try:
            with part.open("wb") as file:
                _write_table(posted, file)
                file.flush()
                os.fsync(file.fileno())
            part.rename(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        _sync_folder(folder)
        return path

    def prune(self) -> None:
        """Remove what is old. Replicas may share a folder, so each file may just be gone."""
        oldest = time.time() - self._keep_seconds
        for file in self._files():
            with suppress(FileNotFoundError):
                if file.stat().st_mtime < oldest:
                    file.unlink()

    def _files(self) -> Iterator[Path]:
        return (file for file in self.folder.glob("*/*/*") if OURS.fullmatch(file.name))


def _write_table(posted: Recorded, file: BinaryIO) -> None:
    """Sorted by entity and time, so that similar values are neighbours."""
    arrow = pyarrow()
    order = np.lexsort((posted.timestamps_ms, posted.owners))
    entities = arrow.array(posted.entities, arrow.string())
    columns = [
        arrow.DictionaryArray.from_arrays(posted.owners[order], entities),
        arrow.array(posted.timestamps_ms[order]),
        *(arrow.array(column[order]) for column in posted.values.T),
    ]
    names = ["entity", "timestamp_ms", *posted.dimensions]
    table = arrow.table(columns, names=names).replace_schema_metadata(RECORDED)
    arrow.parquet.write_table(table, file, compression="zstd", use_dictionary=["entity"])


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
