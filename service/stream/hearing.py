"""Who hears of what was done, and when: the fleet, shadows, the recorder and those who count.

All of them hear of it after the answers are out, so that nobody waits for them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from service.stream.fleet.board import Fleet
from service.stream.lanes import Lanes
from service.stream.messages import Verdict
from service.stream.path import Attempted
from service.stream.recorder import Recorder
from service.stream.serving import Serving
from service.stream.stage import OnStage, Stage

OnTold = Callable[[Sequence[Verdict], Sequence[bytes]], None]


@dataclass(frozen=True)
class Listeners:
    """Who hears of what happens on the stream floor."""

    on_stage: OnStage | None = None  # a stage of the path, and its seconds; on any thread
    on_told: OnTold | None = None  # verdicts that no request got, and alerts; on the event loop
    recorder: Recorder | None = None
    fleet: Fleet | None = None


class Hearing:
    """What is still to be told to whom: heard on the scorer's thread, told on the event loop."""

    def __init__(self, listeners: Listeners, lanes: Lanes) -> None:
        self._listeners, self._lanes = listeners, lanes
        self._waiting: list[tuple[str, Callable[[], None]]] = []  # by stage
        self._told: list[tuple[list[Verdict], list[bytes]]] = []

    def hear(self, serving: Serving, done: Attempted) -> None:
        """Remember what was done, for later."""
        if done.released or done.alerts:
            self._told.append((done.released, done.alerts))
        if (fleet := self._listeners.fleet) is not None:
            self._waiting.append(("fleet", partial(fleet.hear, done)))
        name = done.lane.fold.bundle.manifest.name
        if (shadow := self._lanes.shadow_of(serving, name)) is not None:
            self._waiting.append(("shadow", partial(shadow.score, done.arrived, done.rows)))
        if (recorder := self._listeners.recorder) is not None:
            self._waiting.append(("record", partial(recorder.record, done)))

    def forget(self, entity: str) -> None:
        """It is gone. For the scorer's thread, as `hear` is."""
        if self._listeners.fleet is not None:
            self._listeners.fleet.forget([entity])

    def tell(self, alerts: Sequence[bytes], verdicts: Sequence[Verdict] = ()) -> None:
        """Tell those who count of what no request is answered with."""
        if self._listeners.on_told is not None:
            self._listeners.on_told(verdicts, alerts)

    def rest(self) -> Callable[[], None] | None:
        """Tell those who count; what the others hear, for the scorer's thread, or None."""
        told, self._told = self._told, []
        for verdicts, alerts in told:
            self.tell(alerts, verdicts)
        waiting, self._waiting = self._waiting, []
        return partial(self._run, waiting) if waiting else None

    def _run(self, waiting: list[tuple[str, Callable[[], None]]]) -> None:
        for stage, run in waiting:
            with Stage(stage, self._listeners.on_stage):
                run()
