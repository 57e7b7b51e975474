"""Examples: series at hand for people who want to see what a bundle finds.

Files beside a bundle (`examples/` in the folder of its version) or in a folder of the settings,
`<bundle>/<entity>.npz` or `.csv`; and stretches of the simulated fleet for bundles that were
trained on it. A series that does not have the dimensions of a bundle is no example of it.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Final, TypeVar

import structlog

from service.errors import BadSeries, UnknownBundle, UnknownExample
from service.scoring.bundle import Bundle
from service.simulator import DIMENSION_NAMES, SimulatedEntity, simulate_fleet
from service.simulator.shipped import EXAMPLES
from service.stream.example_series import (
    Example,
    ExampleSummary,
    example_in,
    example_of,
    no_example,
)
from service.stream.models import Models

log: structlog.stdlib.BoundLogger = structlog.get_logger()

FOLDER: Final = "examples"  # in that of a version
SUFFIXES: Final = (".csv", ".npz")
MAX_FILES: Final = 100  # of a folder; the others are not looked at
MAX_FILE_BYTES: Final = 64 * 2**20
MAX_KEPT: Final = 4  # files in memory, beside the simulated fleet
MAX_SUMMARIES: Final = 1_000

Key = tuple[str, str, int, int]  # bundle and version, path, time and size of the file
Kept = TypeVar("Kept")


class Examples:
    """Those of the bundles in force; read and made when somebody asks, and kept for a while."""

    def __init__(self, models: Models, folder: Path | None, *, max_points: int) -> None:
        self._models = models
        self._folder = folder
        self._max_points = max_points
        self._lock = threading.Lock()
        self._fleet: list[SimulatedEntity] = []
        self._read: OrderedDict[Key, Example] = OrderedDict()
        self._summaries: OrderedDict[Key, ExampleSummary | None] = OrderedDict()

    def listed(self) -> list[ExampleSummary]:
        """All of them; a bundle that has none is listed once, without an entity."""
        with self._lock:
            folds = sorted(self._models.serving.folds.items())
            return [one for _, fold in folds for one in self._of(fold.bundle)]

    def example(self, name: str, entity: str) -> Example:
        """One of them. Raises UnknownBundle, UnknownExample."""
        fold = self._models.serving.folds.get(name)
        if fold is None:
            raise UnknownBundle("expected one of the bundles that are loaded")
        with self._lock:
            for path in self._files(fold.bundle):
                if path.stem == entity and self._summary(path, fold.bundle) is not None:
                    return self._example(path, fold.bundle)
            for machine in self._simulated(fold.bundle):
                if machine.name == entity:
                    return example_of(machine, fold.bundle)
        raise UnknownExample("expected an entity of which this bundle has an example")

    def _of(self, bundle: Bundle) -> list[ExampleSummary]:
        found: dict[str, ExampleSummary] = {}
        for path in self._files(bundle):
            if (summary := self._summary(path, bundle)) is not None:
                found.setdefault(path.stem, summary)
        for machine in self._simulated(bundle):
            found.setdefault(machine.name, example_of(machine, bundle).summary(bundle))
        return list(found.values()) or [no_example(bundle)]

    def _files(self, bundle: Bundle) -> Iterator[Path]:
        """In the order in which they count."""
        folders = [bundle.folder / FOLDER]
        if self._folder is not None:
            folders.append(self._folder / bundle.manifest.name)
        for folder in folders:
            found = sorted(path for path in folder.glob("*") if path.suffix.lower() in SUFFIXES)
            yield from found[:MAX_FILES]

    def _simulated(self, bundle: Bundle) -> list[SimulatedEntity]:
        """The machines that it was trained on."""
        manifest = bundle.manifest
        is_alike = set(manifest.dimensions) == set(DIMENSION_NAMES)
        if not is_alike or manifest.period_seconds != EXAMPLES.period_seconds:
            return []
        self._fleet = self._fleet or simulate_fleet(EXAMPLES)
        return [machine for machine in self._fleet if machine.name in bundle.entity_indices]

    def _summary(self, path: Path, bundle: Bundle) -> ExampleSummary | None:
        """Of a file; None if it is no example of this bundle."""
        try:
            key = _key(path, bundle)
        except OSError:  # it is gone
            return None
        if key not in self._summaries:
            _keep(self._summaries, key, self._summarised(path, bundle), most=MAX_SUMMARIES)
        return self._summaries[key]

    def _summarised(self, path: Path, bundle: Bundle) -> ExampleSummary | None:
        try:
            return self._example(path, bundle).summary(bundle)
        except (BadSeries, OSError) as error:
            log.warning("example left out", bundle=bundle.title, file=str(path), detail=str(error))
            return None

    def _example(self, path: Path, bundle: Bundle) -> Example:
        """Raises BadSeries, OSError."""
        key = _key(path, bundle)
        if key not in self._read:
            if key[3] > MAX_FILE_BYTES:
                raise BadSeries(f"{path}: expected at most {MAX_FILE_BYTES} bytes, came {key[3]}")
            example = example_in(path, bundle, max_points=self._max_points)
            _keep(self._read, key, example, most=MAX_KEPT)
        return self._read[key]


def _keep(kept: OrderedDict[Key, Kept], key: Key, value: Kept, *, most: int) -> None:
    kept[key] = value
    while len(kept) > most:
        kept.popitem(last=False)


def _key(path: Path, bundle: Bundle) -> Key:
    found = path.stat()
    return bundle.title, str(path), found.st_mtime_ns, found.st_size
