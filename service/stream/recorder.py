"""The recorder: keeps posted points for training, in a thread of its own.

Scoring hands arrays over and never waits for the disk. What waits here when the process is killed
is lost to the recording; so is what cannot be written, and what comes faster than it can be.
"""

import threading
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import structlog

from service.stream.path import Attempted
from service.stream.recording import Recorded, Recording

log: structlog.stdlib.BoundLogger = structlog.get_logger()


@dataclass(frozen=True)
class Pace:
    """A file is written after so many points of all bundles, or so many seconds."""

    points: int = 100_000
    seconds: float = 300.0
    backlog: int = 200_000  # points that may wait while files are written; more are lost


@dataclass
class _Buffer:
    """Points of one bundle that wait to be written, in the arrays they came in."""

    entities: dict[str, int] = field(default_factory=dict)
    owners: list[npt.NDArray[np.int32]] = field(default_factory=list)
    timestamps_ms: list[npt.NDArray[np.int64]] = field(default_factory=list)
    values: list[npt.NDArray[np.float64]] = field(default_factory=list)


class Recorder:
    """Between the scoring thread, which calls `record`, and a recording."""

    def __init__(self, recording: Recording, pace: Pace | None = None) -> None:
        self._recording = recording
        self._pace = pace or Pace()
        self._buffers: dict[tuple[str, tuple[str, ...]], _Buffer] = {}
        self._waiting_points = 0
        self._is_stopping = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._refused_points = 0  # since it was last told
        self._written_points = self._lost_points = 0

    @property
    def counts(self) -> dict[str, int]:
        """Points that are on disk, and points that will not be."""
        return {"written": self._written_points, "lost": self._lost_points}

    def start(self) -> None:
        """Raises SettingInvalid where nothing could be written."""
        self._recording.prepare()
        self._thread.start()

    def stop(self) -> None:
        """Write what waits, and end."""
        with self._changed:
            self._is_stopping = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join()

    def record(self, done: Attempted) -> None:
        """Take the points that were kept. Never waits for the disk."""
        arrived = done.arrived
        counts = np.array(arrived.counts, np.int64)
        is_kept = np.array([entity not in done.stale for entity in arrived.entities], bool)
        points = int(counts[is_kept].sum())
        if points == 0:
            return
        manifest = done.lane.fold.bundle.manifest
        rows = slice(None) if is_kept.all() else np.repeat(is_kept, counts)
        with self._changed:
            if self._waiting_points >= self._pace.backlog:
                self._lost_points += points
                self._refused_points += points
                return
            source = (manifest.name, manifest.dimensions)
            buffer = self._buffers.setdefault(source, _Buffer())
            known = buffer.entities
            numbers = [known.setdefault(entity, len(known)) for entity in arrived.entities]
            buffer.owners.append(np.repeat(np.array(numbers, np.int32), counts)[rows])
            buffer.timestamps_ms.append(arrived.timestamps_ms[rows])
            buffer.values.append(done.posted[rows])
            self._waiting_points += points
            if self._waiting_points >= self._pace.points:
                self._changed.notify()

    def _run(self) -> None:
        is_stopping = False
        while not is_stopping:
            with self._changed:
                self._changed.wait_for(self._is_due, timeout=self._pace.seconds)
                is_stopping = self._is_stopping
                buffers, self._buffers, self._waiting_points = self._buffers, {}, 0
                refused, self._refused_points = self._refused_points, 0
            if refused:
                log.error("points not recorded", points=refused, error="they come too fast")
            for (bundle, dimensions), buffer in buffers.items():
                self._write(bundle, dimensions, buffer)
            self._prune()

    def _is_due(self) -> bool:
        return self._is_stopping or self._waiting_points >= self._pace.points

    def _write(self, bundle: str, dimensions: tuple[str, ...], buffer: _Buffer) -> None:
        points = sum(map(len, buffer.owners))
        try:
            posted = Recorded(
                bundle,
                dimensions,
                list(buffer.entities),
                np.concatenate(buffer.owners),
                np.concatenate(buffer.timestamps_ms),
                np.concatenate(buffer.values),
            )
            self._recording.write(posted)
        except Exception as problem:  # noqa: BLE001  whatever it is, recording goes on
            with self._changed:
                self._lost_points += points
            log.error("points not recorded", points=points, error=str(problem))
        else:
            self._written_points += points

    def _prune(self) -> None:
        try:
            self._recording.prune()
        except OSError as problem:
            log.warning("old recordings cannot be removed", error=str(problem))
