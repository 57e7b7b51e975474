"""A streaming peer in its own environment: scores and learns points one by one for a while.

    python peer_worker.py PEER ROWS.npy SECONDS

Prints points per second. Runs without this project; each peer gets points the way it likes best.
"""

import sys
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from importlib import import_module


def half_space_trees(rows: Sequence[Sequence[float]]) -> Iterable[Callable[[], object]]:
    """River's HalfSpaceTrees with 10 trees of depth 8, on values within their limits."""
    model = import_module("river.anomaly").HalfSpaceTrees(n_trees=10, height=8, seed=0)
    points = [dict(enumerate(row)) for row in rows]

    def score_and_learn(point: dict[int, float]) -> None:
        model.score_one(point)
        model.learn_one(point)

    return [partial(score_and_learn, point) for point in points]


def loda(rows: Sequence[Sequence[float]]) -> Iterable[Callable[[], object]]:
    """LODA of pysad with its defaults."""
    numpy = import_module("numpy")
    model = import_module("pysad.models").LODA()
    points = [numpy.array(row) for row in rows]
    return [partial(model.fit_score_partial, point) for point in points]


PEERS = {"river-half-space-trees": half_space_trees, "pysad-loda": loda}


def main(peer: str, path: str, seconds: float) -> None:
    """Measure one peer."""
    calls = list(PEERS[peer](import_module("numpy").load(path).tolist()))
    for call in calls[:100]:
        call()
    points, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds:
        for call in calls:
            call()
        points += len(calls)
    print(points / elapsed)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
