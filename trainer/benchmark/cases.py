"""What a benchmark runs on: a case is one entity to fit and to score, a suite is many of a kind."""

from dataclasses import dataclass

import numpy as np

from service.scoring.series import Series


@dataclass(frozen=True)
class Case:
    """One entity: fit on `train`, score `test` with the label held back."""

    entity: str  # unique in the suite
    train: Series  # unlabelled
    test: Series  # label; segments with culprits where they are known
    is_tuning: bool  # choices were made on it, so no interval is computed from it
    vus_width: int | None = None  # TSB-AD's W of this file, None outside its list
    fitted_as: str | None = None  # the entity of another suite whose fit this case takes over

    @property
    def period_seconds(self) -> float:
        """The usual step of the test part."""
        return float(np.median(np.diff(self.test.timestamps_ms))) / 1000


@dataclass(frozen=True)
class Suite:
    """Cases that may share a table."""

    name: str
    title: str
    period_seconds: float  # the usual one; a case knows its own
    cases: tuple[Case, ...]
    source: str  # to cite
