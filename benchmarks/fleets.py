"""Fleets: so many entities in one lane, scored in batches, with Redis behind it or without."""

import gc
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import typer

from benchmarks.stores import PATIENT
from service.scoring.bundle import Bundle, load_bundle
from service.scoring.fold import Fold, Points
from service.stream.arena import Arena, Held
from service.stream.lanes import Lanes
from service.stream.messages import Point
from service.stream.models import Models
from service.stream.path import Batch, PointPath, wall_clock_ms
from service.stream.posted import Posted
from service.stream.store import Store

BATCH = 100  # entities at once, in fleets of every size
PERIOD_MS = 60_000
FIRST_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z
SPREAD = 0.3  # of the values, in bands of the bundle


class ArenaFleet:
    """Entities in memory alone: the arena and the fold."""

    def __init__(self, fold: Fold, count: int) -> None:
        self._fold, self._arena = fold, Arena(fold, max_entities=count)
        self._names = [f"bench-{number:07d}" for number in range(count)]
        fresh = fold.fresh(np.zeros(1, np.int64))
        fresh["model"]["have"] = fold.need
        for name in self._names:
            self._arena.put(name, fresh[0], Held(-1))
        self._values = values_of(fold.bundle, BATCH).astype(np.float32)
        self._batches = batches(self._names)
        self._timestamp_ms = FIRST_MS

    def advance(self) -> int:
        """One point of the next batch of entities; how many."""
        names = next(self._batches)
        held = [one for name in names if (one := self._arena.get(name)) is not None]
        self._timestamp_ms += PERIOD_MS
        points = Points(
            np.zeros(len(names), np.int64),
            np.full(len(names), self._timestamp_ms, np.int64),
            self._values[: len(names)],
        )
        states, _ = self._fold.step(self._arena.states(held), points)
        self._arena.write(held, states)
        return len(names)


class StoredFleet:
    """Entities on the whole path of a point, with a store behind them."""

    def __init__(self, bundle: Bundle, count: int, *, url: str) -> None:
        models = Models(bundle.folder.parents[1], default=bundle.manifest.name)
        lanes = Lanes(models, max_entities=max(count, 2 * BATCH))
        self._store = Store(url, PATIENT)
        self._path = PointPath(self._store, models, lanes, on_stage=None, clock_ms=wall_clock_ms)
        self._serving = models.serving
        self._lane = lanes.of(self._serving.folds[bundle.manifest.name])
        self._names = [f"stored-{count}-{number:07d}" for number in range(count)]
        self._values = (values_of(bundle, BATCH) + bundle.calibration.center[0]).tolist()
        self._batches = batches(self._names)
        self._timestamp_ms = FIRST_MS
        for _ in range(0, count, min(count, BATCH)):
            self.advance()

    def advance(self) -> int:
        """One point of the next batch of entities, committed; how many."""
        names = next(self._batches)
        self._timestamp_ms += PERIOD_MS
        points = [
            Point(name, self._timestamp_ms, values)
            for name, values in zip(names, self._values, strict=False)
        ]
        positions = {name: [position] for position, name in enumerate(names)}
        batch = Batch(self._serving, self._lane, Posted.of(points), positions)
        attempted = self._path.attempt(batch, answers={})
        if attempted.stale:
            raise RuntimeError(f"expected every commit to be made, {attempted.stale} were stale")
        return len(names)

    def close(self) -> None:
        """Let go of Redis."""
        self._store.close()


def batches(names: list[str]) -> Iterator[list[str]]:
    """The names in turn, without end, so many at a time and each at most once in a batch."""
    size = min(len(names), BATCH)
    starts = itertools.cycle(range(0, len(names) - size + 1, size))
    return (names[start : start + size] for start in starts)


def values_of(bundle: Bundle, rows: int) -> np.ndarray:
    """Seeded calm values (row, dimension) minus the centre."""
    random = np.random.default_rng(0)
    noise = random.normal(0.0, SPREAD, (rows, len(bundle.manifest.dimensions)))
    return np.asarray(noise * bundle.calibration.band[0])


def main(bundle: Path, count: int) -> None:
    """Print what an entity takes of the memory of this process, in bytes."""
    fold = Fold(load_bundle(bundle))
    ArenaFleet(fold, BATCH).advance()
    before = resident_bytes()
    fleet = ArenaFleet(fold, count)
    fleet.advance()
    print((resident_bytes() - before) / count)


def resident_bytes() -> int:
    """Memory of this process."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    typer.run(main)
