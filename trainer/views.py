"""The views of a bundle: how its members decide and rank."""

from collections.abc import Sequence

from service.scoring.bundle import View
from trainer.config import Config, GruVaeConfig, SlmrConfig

DECIDING_SHARE, RANKING_SHARE = 1 / 8, 1 / 4  # half-lives in training lengths
MIN_TRAIN_POINTS = 16_000  # shorter training gives no reason to forget sooner

# How each member looks at its errors when it decides, and when it ranks: the largest errors raise
# fewer false alarms, the sum of all sees more; what only ranks remembers longer, so that a long
# fault goes on standing out. Floors are in scaled units.
_LARGEST = {"power": "abs", "aggregation": "top_mean"}
DECIDING: dict[str, dict[str, object]] = {
    "raw": {**_LARGEST, "floor": 2e-2},
    "pca": {**_LARGEST, "floor": 2e-2},
    "leave_one_out": {**_LARGEST, "floor": 5e-3},
    "nearest": {"power": "square", "aggregation": "sum", "floor": 1e-3},
    "network": {**_LARGEST, "floor": 2e-3, "weight": 1.35},
}
# half a squared deviation is summed as it is: the log-likelihood of independent dimensions
DEVIANCE = {"power": "abs", "aggregation": "sum", "floor": 5e-2}
SLMR_AGGREGATIONS: dict[str, dict[str, object]] = {
    "top": {},
    "max": {"top": 1},
    "mean": {"aggregation": "sum"},  # of as many dimensions every time
}
RANKING: dict[str, dict[str, object]] = {
    **DECIDING,
    "pca": {"power": "square", "aggregation": "sum_sqrt", "floor": 1e-3},
}


def default_views(config: Config, *, dimensions: int, train_points: int) -> list[View]:
    """How the members decide and rank, chosen on the tuning set (docs/detection-notes.md).

    The members that the configuration names; all of them, where it names none that the bundle has.
    A member has one view for both roles where it has the same form in both.
    """
    top = max(1, round(dimensions / 8))
    deciding = _known(config.deciding, config.members)
    ranking = _known(config.ranking, config.members)
    views = []
    for member in config.members:
        decides, ranks = DECIDING[member], RANKING[member]
        if member == "network" and _is_deviance(config):
            decides = ranks = DEVIANCE
        if member == "network" and isinstance(config, SlmrConfig):
            decides = ranks = {**decides, **SLMR_AGGREGATIONS[config.aggregation]}
        if member in deciding and member in ranking and decides == ranks:
            forms = [("both", decides)]
        else:
            forms = [("score", decides)] if member in deciding else []
            forms += [("severity", ranks)] if member in ranking else []
        for role, form in forms:
            share = RANKING_SHARE if role == "severity" else DECIDING_SHARE
            half_life = _two_digits(share * max(train_points, MIN_TRAIN_POINTS))
            known = {"member": member, "role": role, "half_life_points": half_life, "top": top}
            views.append(View.model_validate({**known, **form}))
    return views


def _is_deviance(config: Config) -> bool:
    return isinstance(config, GruVaeConfig) and config.error == "deviance"


def _known(chosen: Sequence[str], members: Sequence[str]) -> set[str]:
    return set(chosen) & set(members) or set(members)


def _two_digits(number: float) -> float:
    """Rounded so that entities of about the same length have the same views."""
    return float(f"{number:.2g}")
