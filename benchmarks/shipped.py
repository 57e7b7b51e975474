"""The bundle that is measured: one that is shipped, else any that is there."""

from pathlib import Path

from service.errors import UnknownBundle
from service.scoring.bundle import Bundle, find_bundles, load_bundle

BUNDLES = Path("exported_models")
PREFERRED = ("smd-machine-1-6", "simulated-fleet")


def chosen_bundle(folder: Path) -> Bundle:
    """One of the shipped bundles if it is there, else the first."""
    names = {path.parent.name: path for path in find_bundles(folder)}
    for name in (*PREFERRED, *names):
        if name in names:
            return load_bundle(names[name])
    raise UnknownBundle(f"expected bundles in {folder.absolute()}, found none")
