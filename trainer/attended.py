"""A training that somebody attends to: told how far it is, kept, drawn, logged.

None of it changes the bundle, and all of it works for every network.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from service.scoring.series import Series
from trainer.checkpoint import Keeper
from trainer.config import Config
from trainer.fit import Fitted, fit
from trainer.tensorboard import logged
from trainer.training import Progress, Watcher
from trainer.visualise import visualise

EPOCHS, UPDATES = 1, 2  # verbosity: a line for each


class Tell(Protocol):
    """Hears how far a stage is."""

    def __call__(self, completed: float, detail: str = "") -> None: ...


class Stages(Protocol):
    """Hears that a stage begins; `total` is None where its length is unknown."""

    def __call__(self, title: str, *, total: float | None) -> Tell: ...


@dataclass(frozen=True)
class Comforts:
    """What goes along with a training."""

    folder: Path = Path()  # of the bundle's name; checkpoints and pictures are below it
    checkpoint_every: int | None = None  # epochs
    is_resumed: bool = False
    visualise_every: int | None = None  # epochs
    tensorboard: Path | None = None  # holds a folder of the same name
    say: Callable[[str], None] | None = None  # hears the lines of `verbosity`
    verbosity: int = 0

    @property
    def keeper(self) -> Keeper | None:
        """Of checkpoints, if they are wanted."""
        if self.checkpoint_every is None and not self.is_resumed:
            return None
        return Keeper(self.folder / "checkpoints", self.checkpoint_every or 1, self.is_resumed)


NO_COMFORTS = Comforts()


def train(
    series: Sequence[Series], config: Config, stages: Stages, *, comforts: Comforts
) -> Fitted:
    """Fit, and tell of the training if there is one."""
    if not config.epochs:
        return fit(series, config)
    entities = f" on {len(series)} entities" if len(series) > 1 else ""
    tell = stages(f"training{entities}", total=1.0)
    with _watchers(comforts, tell) as watchers:

        def on_progress(progress: Progress) -> None:
            for watch in watchers:
                watch(progress)

        fitted = fit(
            series,
            config,
            on_progress=on_progress,
            keeper=comforts.keeper,
            on_epoch=_drawn(comforts),
        )
    if fitted.history:
        epochs = fitted.history[-1].epoch
        tell(1.0, f"{epochs} epochs, kept the weights of {fitted.best_epoch}")
    return fitted


@contextmanager
def _watchers(comforts: Comforts, tell: Tell) -> Iterator[list[Watcher]]:
    with ExitStack() as stack:
        watchers = [_shown(tell)]
        if comforts.say is not None and comforts.verbosity:
            watchers.append(_spoken(comforts.say, comforts.verbosity))
        if comforts.tensorboard is not None:
            watchers.append(
                stack.enter_context(logged(comforts.tensorboard / comforts.folder.name))
            )
        yield watchers


def _shown(tell: Tell) -> Watcher:
    held_out = ""

    def watch(progress: Progress) -> None:
        nonlocal held_out
        if progress.validation_loss is not None:
            held_out = f", held out {progress.validation_loss:.3f}"
        epoch = f"{progress.epoch}/{progress.epochs}, loss {progress.loss:.3f}"
        tell(progress.step / progress.total, epoch + held_out)

    return watch


def _spoken(say: Callable[[str], None], verbosity: int) -> Watcher:
    def watch(progress: Progress) -> None:
        if progress.validation_loss is None and verbosity < UPDATES:
            return
        held_out = progress.validation_loss
        parts = [
            f"epoch {progress.epoch}/{progress.epochs}",
            f"update {progress.step}/{progress.total}",
            f"loss {progress.loss:.4f}",
            *([] if held_out is None else [f"held out {held_out:.4f}"]),
            f"rate {progress.learning_rate:.2e}",
            f"{progress.seconds_left:.0f} s left",
        ]
        say(", ".join(parts))

    return watch


def _drawn(comforts: Comforts) -> Callable[[Fitted], None] | None:
    every, folder = comforts.visualise_every, comforts.folder / "pictures"
    if every is None:
        return None

    def draw(fitted: Fitted) -> None:
        epoch = fitted.history[-1].epoch
        if epoch % every == 0:
            folder.mkdir(parents=True, exist_ok=True)
            visualise(folder / f"epoch-{epoch:04}.png", fitted)

    return draw
