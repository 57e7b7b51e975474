"""Candidates: a bundle nobody has run yet is opened and tried in a process that may die.

The child has bounds on memory and time: a graph can ask for 256 GiB, or never return from being
opened. What it finds wrong is the reason of the refusal.
"""

import resource
import signal
import subprocess  # our own interpreter, no shell
import sys
from pathlib import Path

import numpy as np

from service.errors import BundleInvalid, GaugewatchError
from service.scoring.bundle import Bundle, load_bundle
from service.scoring.fold import Fold, Points, Verdicts
from service.scoring.graph import check_graph

PROCESSOR_SECONDS = 8  # a machine that is busy with other things makes no bundle bad
SECONDS = 30.0  # that nobody waits longer than
MEMORY_BYTES = 4 * 2**30
TRIAL_ROWS = 17  # of two lengths of padding
TRIAL_POINTS = 5
_REFUSED = 3  # exit status of the child


def check_candidate(folder: Path) -> None:
    """Open a version folder and score some points, in a child process. Raises BundleInvalid."""
    command = [sys.executable, "-m", "service.scoring.candidate", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=SECONDS, check=False, text=True)
    except subprocess.TimeoutExpired:
        raise BundleInvalid(f"not opened and tried within {SECONDS:g} s") from None
    if done.returncode == -signal.SIGXCPU:
        raise BundleInvalid(f"not opened and tried in {PROCESSOR_SECONDS} s of a processor")
    if done.returncode == _REFUSED:
        raise BundleInvalid(done.stdout.strip())
    if done.returncode != 0:
        raise BundleInvalid(f"the process that tried it ended with {done.returncode}")


def try_bundle(folder: Path) -> Bundle:
    """Everything that can be asked of a bundle before it scores. Raises BundleInvalid."""
    bundle = load_bundle(folder)
    for file in (bundle.manifest.step, bundle.manifest.window):
        check_graph(folder / file.file)
    if folder.name != bundle.manifest.version or folder.parent.name != bundle.manifest.name:
        raise BundleInvalid(
            f"expected the folder {bundle.title}, came {folder.parent.name}/{folder.name}"
        )
    fold = Fold(bundle)
    together, alone = _scored(fold, TRIAL_ROWS), _scored(fold, 1)
    for name in ("severity", "surprisal", "expected", "contributions"):
        one, many = getattr(alone, name), getattr(together, name)[:1]
        if not np.array_equal(one, many, equal_nan=True):
            raise BundleInvalid(f"its {name} of a point depends on what shares its batch")
    if not np.isfinite(together.expected).all():
        raise BundleInvalid("it expects values that are not finite")
    return bundle


def _scored(fold: Fold, rows: int) -> Verdicts:
    """Verdicts on the last of some points of entities nobody knows, the first always the same."""
    generator = np.random.default_rng(0)
    noise = generator.normal(size=(TRIAL_POINTS, TRIAL_ROWS, fold.dimensions))[:, :rows]
    index = np.zeros(rows, np.int64)
    states = fold.fresh(index)
    states["model"]["have"] = fold.need  # so that every point is scored
    *first, last = [
        Points(index, np.full(rows, time, np.int64), values)
        for time, values in enumerate(noise.astype(np.float32))
    ]
    for points in first:
        states, _ = fold.step(states, points)
    return fold.step(states, last)[1]


def main(folder: str) -> int:
    """The child."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (PROCESSOR_SECONDS, 2 * PROCESSOR_SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        try_bundle(Path(folder))
    except GaugewatchError as error:
        reason = error.detail
    except MemoryError:
        reason = "it asks for more memory than a bundle may"
    except Exception as error:  # noqa: BLE001  whatever a graph can do wrong is a reason
        reason = f"it cannot be run: {type(error).__name__}: {str(error)[:300]}"
    else:
        return 0
    sys.stdout.write(reason)
    return _REFUSED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
