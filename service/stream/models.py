"""Models: the versions a folder holds, opened once, and what they make of a configuration."""

import threading
from pathlib import Path

import msgspec
import structlog

from service.errors import GaugewatchError, UnknownBundle
from service.scoring.bundle import VERSION_CHARACTERS, find_bundles, load_bundle
from service.scoring.fold import Fold
from service.stream.configuration import Configuration
from service.stream.serving import Serving

log: structlog.stdlib.BoundLogger = structlog.get_logger()

FIRST_EPOCH = 1
MAX_NAME_BYTES = 255  # of a folder; the system fails at a longer one, instead of finding nothing


class Models:
    """A folder of bundles, and the configuration in force."""

    def __init__(self, folder: Path, *, default: str | None, budget: float | None = None) -> None:
        """Serves the current version of every bundle until a configuration is adopted."""
        self.folder = folder
        self._budget = budget
        self._default = default
        self._opened: dict[tuple[str, str], Fold] = {}
        self._lock = threading.Lock()
        self._serving = self._served(FIRST_EPOCH, self.configured(Configuration()))

    @property
    def serving(self) -> Serving:
        """What is in force in this process."""
        return self._serving

    def configured(self, configuration: Configuration) -> Configuration:
        """What this folder, and the default of the settings, make of a configuration."""
        current = {path.parent.name: path.name for path in find_bundles(self.folder)}
        if not current:
            raise UnknownBundle(f"expected bundles in {self.folder.absolute()}, found none")
        found = configuration.found(current)
        if self._default is None:
            return found
        if self._default not in found.active:
            named = f"default bundle {self._default!r}"
            raise UnknownBundle(f"{named} is not one of {sorted(found.active)}")
        return msgspec.structs.replace(found, default=self._default)

    def prepare(self, configuration: Configuration) -> None:
        """Open what a configuration names. Raises UnknownBundle, BundleInvalid."""
        self._served(0, configuration)

    def adopt(self, epoch: int, configuration: Configuration) -> Serving:
        """Put a configuration in force here; what cannot be opened leaves the old one."""
        self._serving = self._served(epoch, configuration)
        return self._serving

    def versions(self, name: str) -> list[str]:
        """Versions of a bundle in the folder. Raises UnknownBundle."""
        can_be = _plain(name) == name and 0 < len(name.encode()) <= MAX_NAME_BYTES
        paths = self.folder.glob(f"{name}/*/bundle.json") if can_be else ()
        found = sorted(path.parent.name for path in paths)
        if not found:
            raise UnknownBundle(f"no bundle {name!r} in the folder of bundles")
        return found

    def folder_of(self, name: str, version: str) -> Path:
        """Where a version is. Raises UnknownBundle."""
        if version not in self.versions(name):
            raise UnknownBundle(f"no version {version!r} of bundle {name!r} in the folder")
        return self.folder / name / version

    def open(self, name: str, version: str) -> Fold:
        """A version, ready to score; opened once. Raises UnknownBundle, BundleInvalid."""
        with self._lock:
            if (name, version) not in self._opened:
                bundle = load_bundle(self.folder_of(name, version))
                self._opened[name, version] = Fold(bundle, budget=self._budget)
            return self._opened[name, version]

    def with_digest(self, digest: str) -> Fold | None:
        """The version with this digest, if the folder still holds it."""
        version = digest[:VERSION_CHARACTERS]
        for path in self.folder.glob(f"*/{_plain(version)}/bundle.json"):
            fold = self.open(path.parent.parent.name, version)
            if fold.bundle.manifest.digest == digest:
                return fold
        return None

    def _served(self, epoch: int, configuration: Configuration) -> Serving:
        folds = {
            name: self.open(name, active.version) for name, active in configuration.active.items()
        }
        shadows = {
            name: fold
            for name, version in configuration.shadows.items()
            if (fold := self._shadow(name, version)) is not None
        }
        if lacking := configuration.assigned_bundles - folds.keys():
            log.warning("assigned bundles are not in the folder", bundles=sorted(lacking))
        return Serving(epoch, configuration, folds, shadows=shadows)

    def _shadow(self, name: str, version: str) -> Fold | None:
        """A version that only looks on; without it everything else goes on."""
        try:
            return self.open(name, version)
        except GaugewatchError as error:
            log.warning("shadow left out", bundle=name, version=version, detail=error.detail)
            return None


def _plain(name: str) -> str:
    """A name that means only itself in a pattern of paths."""
    return "".join(c for c in name if c.isalnum() or c in "._-").lstrip(".")
