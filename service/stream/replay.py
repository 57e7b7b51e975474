"""An incident as one file, and its replay: the same fold over the same rows, bit for bit."""

import io
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import msgspec
import numpy as np
from numpy.lib.npyio import NpzFile

from service.errors import BadInput
from service.scoring.fold import Fold, Points
from service.stream.commit import Layout
from service.stream.incident_messages import Incident, IncidentRecord, Opening
from service.stream.rows import Rows, decided, pack, row_dtype
from service.stream.ruling import Ruling

FORMAT = 2
SCORED = ("surprisal", "severity", "status", "causes")  # whatever the policy
COMPARED = (*SCORED, "score", "is_anomaly", "transition")


@dataclass(frozen=True)
class IncidentFile:
    """What `incident.npz` holds."""

    incident: Incident
    digest: str  # of the bundle that scored it
    opening: Opening
    rows: bytes
    is_whole: bool  # False: its last rows were not kept


@dataclass(frozen=True)
class Replayed:
    """Rows as they were kept, and as they come out again."""

    kept: Rows
    again: Rows
    is_redecided: bool  # False: the policy changed meanwhile, what was decided is taken as it was

    @property
    def differing(self) -> list[int]:
        """Rows whose verdict is not the same, bit for bit; without decisions that were taken."""
        compared = COMPARED if self.is_redecided else SCORED
        return [
            row
            for row in range(len(self.kept))
            if any(
                self.kept[name][row].tobytes() != self.again[name][row].tobytes()
                for name in compared
            )
        ]


def packed_file(record: IncidentRecord) -> bytes:
    """The file of an incident."""
    digest = Layout.parsed(record.written_as).digest.partition(".")[0]
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        allow_pickle=False,
        format=np.array(FORMAT),
        incident=np.frombuffer(msgspec.json.encode(record.incident), np.uint8),
        digest=np.array(digest),
        opening=np.frombuffer(record.opening, np.uint8),
        rows=np.frombuffer(record.rows, np.uint8),
        is_whole=np.array(record.is_whole),
    )
    return buffer.getvalue()


def read_file(path: Path) -> IncidentFile:
    """Read it back. Raises BadInput."""
    try:
        with path.open("rb") as content, NpzFile(content, allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in arrays.files}
        if int(found["format"]) != FORMAT:
            raise BadInput(f"expected an incident of format {FORMAT}, came {found['format']}")
        return IncidentFile(
            incident=msgspec.json.decode(found["incident"].tobytes(), type=Incident),
            digest=str(found["digest"]),
            opening=Opening.decode(found["opening"].tobytes()),
            rows=found["rows"].tobytes(),
            is_whole=bool(found["is_whole"]),
        )
    except (OSError, EOFError, ValueError, KeyError, BadZipFile, msgspec.MsgspecError) as error:
        raise BadInput(f"{path} is not the file of an incident: {error}") from None


def replay(file: IncidentFile, fold: Fold) -> Replayed:
    """Score its rows again, under the policy that held when it opened.

    If they do not come out so, the policy may have changed while it was open: then again, with what
    was decided. Raises BadInput if another bundle scored it.
    """
    if fold.bundle.manifest.digest != file.digest:
        raise BadInput(f"expected the bundle with digest {file.digest}, came {fold.bundle.title}")
    dtype = row_dtype(fold)
    if len(file.opening.state) != fold.state_dtype.itemsize or len(file.rows) % dtype.itemsize:
        raise BadInput("expected state and rows of this release's form, came another")
    kept = np.frombuffer(file.rows, dtype)
    replayed = Replayed(kept, _scored(file, fold, kept, redecides=True), is_redecided=True)
    if not replayed.differing:
        return replayed
    taken = Replayed(kept, _scored(file, fold, kept, redecides=False), is_redecided=False)
    return replayed if taken.differing else taken


def _scored(file: IncidentFile, fold: Fold, kept: Rows, *, redecides: bool) -> Rows:
    index = np.array([fold.bundle.entity_indices.get(file.incident.entity, 0)])
    states, again = fold.decode(file.opening.state), np.zeros(len(kept), kept.dtype)
    ruling = Ruling(
        [file.opening.policy],
        np.zeros(1, np.int64),
        fold.bundle.manifest.dimensions,
        np.zeros(1, bool),
    )
    for row in range(len(kept)):
        one = kept[row : row + 1]
        points = Points(index, one["timestamp_ms"], one["values"])
        rules = ruling.rules(np.zeros(1, np.int64), points.timestamps_ms)
        known = None if redecides else decided(one)
        states, verdicts = fold.step(states, points, known, rules=rules)
        pack(again[row : row + 1], points, verdicts, fold=fold)
    return again
