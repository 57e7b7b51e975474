"""VUS-PR that others published for the SMD machines we have.

Numbers of TSB-AD (Liu & Paparrizos, "The Elephant in the Room", NeurIPS 2024), from the table by
file in its repository (TheDatumOrg/TSB-AD, commit 8763009, Apache-2.0): 23 methods, tuned on other
files, each trained on a short first part of what is here a test half.
"""

import csv
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from types import MappingProxyType

from benchmarks.detection import ENTITIES

MACHINES = (
    "machine-1-2",
    "machine-1-3",
    "machine-1-5",
    "machine-1-7",
    "machine-2-1",
    "machine-2-7",
    "machine-3-2",
    "machine-3-4",
    "machine-3-10",
)
# by machine, in this order
PUBLISHED: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {
        "PCA": (0.23968, 0.25064, 0.42975, 0.45767, 0.25343, 0.7779, 0.07267, 0.24577, 0.67554),
        "CNN": (0.41439, 0.23824, 0.45415, 0.13811, 0.33511, 0.51788, 0.03029, 0.25372, 0.78688),
        "EIF": (0.33648, 0.16445, 0.02545, 0.25583, 0.4572, 0.59535, 0.06178, 0.48857, 0.55669),
        "OmniAnomaly": (
            0.26659,
            0.11237,
            0.00881,
            0.1211,
            0.23587,
            0.11038,
            0.03032,
            0.29481,
            0.18033,
        ),
        "best of 23 by machine": (
            0.43814,
            0.4136,
            0.45415,
            0.70002,
            0.50465,
            0.7779,
            0.07267,
            0.64859,
            0.78688,
        ),
    }
)


def vus_pr_of_files(path: Path = ENTITIES) -> dict[str, dict[str, float]]:
    """Of our rows, with the width of each file: row -> machine -> mean over seeds."""
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    with path.open(newline="") as file:
        for line in csv.DictReader(file):
            if line["suite"] == "smd" and line["vus_pr_file"]:
                found[line["row"]][line["entity"]].append(float(line["vus_pr_file"]))
    return {row: {e: fmean(seeds) for e, seeds in own.items()} for row, own in found.items()}
