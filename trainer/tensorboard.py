"""Losses and learning rate for TensorBoard; an extra, so that nobody else needs it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.errors import SettingInvalid
from trainer.training import Progress, Watcher


@contextmanager
def logged(folder: Path) -> Iterator[Watcher]:
    """A watcher that writes event files into a folder; raises SettingInvalid without the extra."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise SettingInvalid(
            "--tensorboard needs the extra of that name: pip install 'gaugewatch[tensorboard]'"
        ) from None
    with SummaryWriter(folder) as writer:

        def watch(progress: Progress) -> None:
            held_out = progress.validation_loss
            name, loss = "training", progress.loss
            if held_out is not None:
                name, loss = "validation", held_out
            writer.add_scalar(f"loss/{name}", loss, progress.step)
            writer.add_scalar("learning_rate", progress.learning_rate, progress.step)

        yield watch
