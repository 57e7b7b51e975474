"""A bundle in the size of OmniAnomaly (Su et al., KDD 2019) with initial weights, to be served.

    python -m benchmarks.paper_bundle FOLDER

How fast it is does not depend on what it has learnt.
"""

from pathlib import Path

import typer

from benchmarks.step_graphs import PERIOD_MS, series
from trainer.build import build_bundle
from trainer.config import preset
from trainer.fit import fit

NAME = "omnianomaly-size"


def main(folder: Path) -> None:
    """Write it into a folder of bundles."""
    fitted = fit([series()], preset("paper", model="gru_vae", epochs=0))
    build_bundle(fitted, folder, name=NAME, period_seconds=PERIOD_MS / 1000)


if __name__ == "__main__":
    typer.run(main)
