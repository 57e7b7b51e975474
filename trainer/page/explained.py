"""What a window graph tells beside its answer, and no score needs: attention, latent."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from service.scoring.bundle import Bundle
from service.scoring.detector import single_threaded
from service.scoring.series import FloatArray, Series
from trainer.measures.events import IntArray
from trainer.windows import impute

ANSWER = ("error", "expected", "scale")
CHUNK_WINDOWS = 64

Extras = dict[str, FloatArray]  # output -> (window, ...)


class Explainer:
    """The window graph of a bundle, asked for what it tells beside its answer."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._session = ort.InferenceSession(
            bundle.folder / bundle.manifest.window.file,
            single_threaded(),
            providers=["CPUExecutionProvider"],
        )
        outputs = (node.name for node in self._session.get_outputs())
        self.names = [name for name in outputs if name not in ANSWER]

    def tell(self, series: Series, rows: IntArray) -> Extras:
        """What is told of the windows that end at `rows`, each at least `first_row` of a series."""
        if not self.names or not len(rows):
            return {}
        index = self._bundle.entity_indices.get(series.entity, 0)
        center = self._bundle.calibration.center[index]
        values = (impute(series.values, center) - center).astype(np.float32)
        told = [
            self._run(values, rows[start : start + CHUNK_WINDOWS], index)
            for start in range(0, len(rows), CHUNK_WINDOWS)
        ]
        return {name: np.concatenate([one[name] for one in told]) for name in self.names}

    def rows_of(self, series: Series, count: int) -> IntArray:
        """At most `count` rows, evenly apart, that have a whole window before them."""
        first, last = self._bundle.manifest.window_length - 1, len(series.values) - 1
        if last < first:
            return np.empty(0, np.int64)
        chosen = np.linspace(first, last, min(count, last - first + 1))
        return np.unique(chosen.round().astype(np.int64))

    def _run(self, values: npt.NDArray[np.float32], rows: IntArray, index: int) -> Extras:
        length = self._bundle.manifest.window_length
        windows = values[rows[:, None] + np.arange(1 - length, 1)]  # (window, time, dimension)
        entity = np.full(len(rows), index, np.int64)
        found = self._session.run(self.names, {"window": windows, "entity_index": entity})
        return {
            name: np.asarray(one, np.float64) for name, one in zip(self.names, found, strict=True)
        }


def mean_of(told: Sequence[Mapping[str, FloatArray]], name: str) -> FloatArray | None:
    """Mean over all windows of what is told under `name`; None where nothing is."""
    found = [one[name] for one in told if name in one]
    return np.concatenate(found).mean(axis=0) if found else None
