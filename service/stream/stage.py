"""Stages of the path of a point: how long each took, for who wants to hear it."""

import time
from collections.abc import Callable
from types import TracebackType

OnStage = Callable[[str, float], None]  # a stage, and its seconds


class Stage:
    """Times what runs inside of `with`, also where that fails."""

    __slots__ = ("_name", "_on_stage", "_start")

    def __init__(self, name: str, on_stage: OnStage | None) -> None:
        self._name, self._on_stage = name, on_stage

    def __enter__(self) -> None:
        self._start = time.perf_counter()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._on_stage is not None:
            self._on_stage(self._name, time.perf_counter() - self._start)
