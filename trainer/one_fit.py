"""One fit from series to report: a task that may be done here or in another process."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from service.scoring.bundle import Bundle
from trainer.attended import Comforts, Stages, Tell
from trainer.console import note
from trainer.datasets import Halves
from trainer.finished import finished, identity_of, mark, unmark
from trainer.run import Order, examine, make, publish

TELL_SECONDS = 0.2  # between two words about a stage


@dataclass(frozen=True)
class OneFit:
    """What to make of which series, and what goes along with it."""

    order: Order
    halves: Halves
    comforts: Comforts
    has_untrained: bool = False
    has_report: bool = True

    @property
    def folder(self) -> Path:
        """Of the bundle's name."""
        return self.order.output / self.order.name

    def made(self, stages: Stages, say: Callable[[str], None]) -> Bundle:
        """Fit, examine and publish."""
        comforts = replace(self.comforts, folder=self.folder, say=say)
        bundle = make(self.order, self.halves.train, stages, comforts=comforts)
        material = examine(bundle, self.halves, stages, has_untrained=self.has_untrained)
        return publish(material, stages, has_report=self.has_report)

    def __call__(self, tell: Callable[[str], None]) -> None:
        """The same as a task, which leaves a marker behind."""
        unmark(self.folder)
        started = time.monotonic()
        bundle = self.made(_Told(tell), _prefixed(self.order.name))
        mark(bundle, self.identity, seconds=time.monotonic() - started)

    @property
    def identity(self) -> str:
        """Of all that the outcome depends on."""
        told = {
            "config": self.order.config.model_dump(mode="json"),
            "name": self.order.name,
            "period_seconds": self.order.period_seconds,
            "untrained": self.has_untrained,
            "report": self.has_report,
        }
        return identity_of(told, self.halves.train, self.halves.test)

    def finished(self) -> tuple[Bundle, float] | None:
        """What an earlier run has made of the same, and the seconds it took."""
        return finished(self.folder, self.identity)


class _Told:
    """Stages as lines of text, now and then."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell, self._last = tell, 0.0

    def __call__(self, title: str, *, total: float | None) -> Tell:
        self._tell(title)
        return partial(self._hear, title, total)

    def _hear(self, title: str, total: float | None, completed: float, detail: str = "") -> None:
        now = time.monotonic()
        if now - self._last < TELL_SECONDS:
            return
        self._last = now
        share = f" {completed / total:.0%}" if total else ""
        self._tell(f"{title}{share}, {detail}" if detail else f"{title}{share}")


def _prefixed(name: str) -> Callable[[str], None]:
    def say(text: str) -> None:
        note(f"{name} {text}")

    return say
