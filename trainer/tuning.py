"""A search for better knobs: trials side by side, kept in a journal; needs the extra `tune`.

Akiba et al.: Optuna, KDD 2019. The sampler is TPE (Bergstra et al., NIPS 2011), which takes the
trials under way for bad ones, so that those side by side differ. A trial whose held-out loss is
behind the median of the others at the same epoch is pruned, unless the search is among losses that
cannot be compared, see `search_space.incomparable`.
"""

import hashlib
import json
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState
from rich.console import Console

from service.errors import GaugewatchError, SettingInvalid
from trainer.config import Config
from trainer.fit import digest_of
from trainer.objectives import Exam, Objective
from trainer.recipe import Source, configured
from trainer.search_space import Between, Space
from trainer.side_by_side import work_off
from trainer.training import Progress
from trainer.watch import watching
from trainer.workers import Workers, at_once, single_threaded

JOURNAL, STUDY = "study.journal", "tune"
FIRST_TRIALS, FIRST_EPOCHS = 5, 2  # of which nothing is pruned
DONE = (TrialState.COMPLETE, TrialState.PRUNED)

optuna.logging.set_verbosity(optuna.logging.ERROR)


@dataclass(frozen=True)
class Search:
    """What is searched, where, and by what it is judged."""

    folder: Path
    base: Config  # knobs that no range is given for
    space: Space
    objective: Objective
    exam: Exam
    seed: int  # of the sampler and of what is injected
    is_pruning: bool = True

    @property
    def direction(self) -> str:
        """Of better values."""
        return "maximize" if self.objective == "injected" else "minimize"

    @property
    def identity(self) -> str:
        """SHA-256 of all that values depend on."""
        told = {
            "base": self.base.model_dump(mode="json"),
            "space": {knob: asdict(own) for knob, own in self.space.items()},
            "objective": self.objective,
            "seed": self.seed,
            "period_seconds": self.exam.period_seconds,
            "data": [digest_of(self.exam.fit), digest_of(self.exam.broken)],
        }
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()

    def study(self, number: int = 0) -> optuna.Study:
        """The one in the journal, with a sampler for a trial of this number."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = optuna.samplers.TPESampler(seed=self.seed + number, constant_liar=True)
            usual = optuna.pruners.MedianPruner(FIRST_TRIALS, FIRST_EPOCHS)
            return optuna.create_study(
                storage=JournalStorage(JournalFileBackend(str(self.folder / JOURNAL))),
                sampler=sampler,
                pruner=usual if self.is_pruning else optuna.pruners.NopPruner(),
                study_name=STUDY,
                direction=self.direction,
                load_if_exists=True,
            )


def opened(search: Search) -> optuna.Study:
    """Begin or go on; trials that a kill left under way have failed. Raises SettingInvalid."""
    search.folder.mkdir(parents=True, exist_ok=True)
    study = search.study()
    known = study.user_attrs.get("identity", search.identity)
    if known != search.identity:
        raise SettingInvalid(
            f"{search.folder / JOURNAL} holds a search with other knobs, ranges, data, objective "
            "or seed; give another --output"
        )
    study.set_user_attr("identity", search.identity)
    for trial in study.get_trials(deepcopy=False, states=[TrialState.RUNNING]):
        study.tell(trial.number, state=TrialState.FAIL)
    return study


def run(search: Search, trials: int, *, workers: int | None, is_quiet: bool) -> None:
    """Do as many trials as are left; one that fails stops no other."""
    study = opened(search)
    done = len(study.get_trials(deepcopy=False, states=DONE))
    first = len(study.trials)
    tasks = {f"trial {n}": OneTrial(search, n) for n in range(first, first + trials - done)}
    console = Console(stderr=True, quiet=is_quiet)
    with single_threaded(), watching(console, title="trials", jobs="trials") as watch:
        watch.begin(total=len(tasks), reused=done)
        count = at_once(workers, threads=search.base.threads, tell=console.print)
        pool = Workers(min(count, max(len(tasks), 1)))
        try:
            work_off(tasks, pool, watch)
        finally:
            pool.end()


@dataclass(frozen=True)
class OneTrial:
    """A task: the next trial."""

    search: Search
    number: int

    def __call__(self, tell: Callable[[str], None]) -> None:
        """Ask the study for knobs, and tell it how good they are."""
        value = partial(self._value, tell)
        study = self.search.study(self.number)
        study.optimize(value, n_trials=1, catch=(GaugewatchError,))

    def _value(self, tell: Callable[[str], None], trial: optuna.Trial) -> float:
        base = Source(self.search.base.model_dump(), "the configuration")
        knobs = {knob: _suggested(trial, knob, own) for knob, own in self.search.space.items()}
        try:
            config = configured(Source(knobs), like=base)
            trial.set_user_attr("seed", config.seed)
            watch = Reporting(trial, tell, sign=1 if self.search.objective == "loss" else -1)
            judge = getattr(self.search.exam, self.search.objective)
            return float(judge(config, watch))
        except GaugewatchError as error:
            trial.set_user_attr("error", error.detail)
            raise


class Reporting:
    """Reports the held-out loss of every epoch, as high as good where values are so."""

    def __init__(self, trial: optuna.Trial, tell: Callable[[str], None], *, sign: int) -> None:
        self._trial, self._tell, self._sign = trial, tell, sign
        self._epoch = 0

    def __call__(self, progress: Progress) -> None:
        if progress.validation_loss is None or progress.epoch == self._epoch:
            return
        self._epoch = progress.epoch
        loss = progress.validation_loss
        self._tell(f"epoch {progress.epoch}/{progress.epochs}, held out {loss:.4f}")
        self._trial.report(self._sign * loss, progress.epoch)
        if self._trial.should_prune():
            raise optuna.TrialPruned


def _suggested(trial: optuna.Trial, knob: str, own: object) -> object:
    if not isinstance(own, Between):
        return trial.suggest_categorical(knob, own.choices)  # type: ignore[attr-defined]
    if own.is_whole:
        return trial.suggest_int(knob, int(own.low), int(own.high), log=own.is_log)
    return trial.suggest_float(knob, own.low, own.high, log=own.is_log)
