"""What a benchmark compares: rows, and the two things it asks of each of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from service.errors import SettingInvalid
from trainer.benchmark.cases import Case, Suite
from trainer.config import Config, Preset, preset
from trainer.floors import Answers


@dataclass(frozen=True)
class Row:
    """One line of the tables."""

    name: str
    title: str
    is_floor: bool
    seeds: int  # 1: no network to train (KMeans keeps its seed), or one fitted once (GRU-VAE)
    config: Config | None  # None: nothing to fit beforehand

    def resized(self, name: Preset) -> "Row":
        """The row with another preset of its model, where there is one; what it changed stays."""
        if self.config is None:
            return self
        model, usual = self.config.model, preset(self.config.preset, model=self.config.model)
        changes = {
            knob: value
            for knob, value in self.config
            if knob != "preset" and value != getattr(usual, knob)
        }
        try:
            return replace(self, config=preset(name, model=model, **changes))
        except SettingInvalid:
            return self


@dataclass(frozen=True)
class Answer:
    """What a row says of one case, and what it cost."""

    answers: Answers
    nominal_share: float | None = None  # of quiet points the budget lets be anomalous
    false_incidents_over_budget: float | None = None
    incidents_per_day_by_budget: Mapping[float, float] | None = None  # budget -> false ones
    microseconds_per_point: float | None = None


class FitCase(Protocol):
    """Writes the bundle of one case below `folder`, and says where."""

    def __call__(
        self, case: Case, row: Row, *, seed: int, period_seconds: float, folder: Path
    ) -> Path: ...


class AnswerSuite(Protocol):
    """Answers every case of a suite; `bundles` are by fitted entity, empty without a config."""

    def __call__(
        self,
        row: Row,
        suite: Suite,
        *,
        seed: int,
        bundles: Mapping[str, Path],
        on_point: Callable[[int], None],
    ) -> dict[str, Answer]: ...


@dataclass(frozen=True)
class Bench:
    """All that the machinery is told; functions of modules, so that other processes find them."""

    suites: tuple[str, ...]  # names, in the order of the tables
    rows: tuple[Row, ...]
    default: str  # names of rows: the one the project ships,
    anchor: str  # the one it is compared with,
    untrained: str  # the one that only lacks training,
    rivals: tuple[str, ...]  # and more that every row is compared with
    load_suite: Callable[[str, Path], Suite]
    fit_case: FitCase
    answer: AnswerSuite

    def others(self) -> tuple[str, ...]:
        """Rows that every row is compared with."""
        return self.anchor, self.untrained, *self.rivals
