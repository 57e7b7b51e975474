"""The rows of every table: floors, closed-form detectors, and the models, under one scoring."""

from trainer.benchmark.answer import answer, fit_case
from trainer.benchmark.bench import Bench, Row
from trainer.benchmark.suites import SUITES, load_suite
from trainer.config import GruVaeConfig, LinearConfig, preset

ROWS = (
    Row("random", "random", is_floor=True, seeds=3, config=None),
    Row("input", "input itself", is_floor=True, seeds=1, config=None),
    Row("pca", "PCA, D/4 components", is_floor=True, seeds=1, config=None),
    Row("raw", "raw deviation", False, 1, LinearConfig(members=("raw",))),
    Row("pca-causal", "PCA, D/8, causal normaliser", False, 1, LinearConfig(members=("pca",))),
    Row("nearest", "KMeans, 5 rows", False, 1, LinearConfig(members=("nearest",))),
    Row(
        "leave-one-out",
        "linear leave-one-out",
        False,
        1,
        LinearConfig(members=("leave_one_out",)),
    ),
    Row(
        "no-network",
        "without the network",
        False,
        1,
        LinearConfig(ranking=("raw", "pca", "nearest")),
    ),
    Row("linear", "leave-one-out in its place", False, 1, LinearConfig()),
    Row("gru-vae", "with GRU-VAE", False, 1, GruVaeConfig()),
    Row("untrained", "with untrained blind spot", False, 3, preset("small", epochs=0)),
    Row("blind-spot", "with blind spot (default)", False, 3, preset("small")),
)

BENCH = Bench(
    suites=SUITES,
    rows=ROWS,
    default="blind-spot",
    anchor="pca",
    untrained="untrained",
    rivals=("no-network", "linear", "leave-one-out"),
    load_suite=load_suite,
    fit_case=fit_case,
    answer=answer,
)
