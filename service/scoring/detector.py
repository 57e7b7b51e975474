"""The detector: the ONNX session of one bundle. State and values in, errors and next state out.

The score of a point must not depend on who shares its batch. Batches are therefore padded to
multiples of 16 and run on one thread, and the graphs reduce nothing over dimensions
(`docs/bundle.md`).
"""

from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from service.errors import BundleInvalid
from service.scoring.bundle import Bundle, StateTensor

BATCH_MULTIPLE = 16
CHUNK_ROWS = 256  # keeps the activations of one call inside the cache

Float32Array = npt.NDArray[np.float32]
_Number = TypeVar("_Number", np.float32, np.int64)


@dataclass(frozen=True)
class Detection:
    """What the graph says of a batch of points."""

    error: Float32Array  # (batch, member, dimension) scaled units
    expected: Float32Array  # (batch, dimension) raw units, minus the centre
    scale: Float32Array  # (batch, dimension) raw units
    state: dict[str, Float32Array]  # name -> (batch, *shape)


class Detects(Protocol):
    """What a fold asks of a detector."""

    state: tuple[StateTensor, ...]

    def run(
        self, state: npt.NDArray[np.void], values: Float32Array, entity_index: npt.NDArray[np.int64]
    ) -> Detection: ...


class Detector:
    """One bundle, ready to score."""

    def __init__(self, bundle: Bundle) -> None:
        self.state = bundle.manifest.state
        path = bundle.folder / bundle.manifest.step.file
        try:
            self._session = ort.InferenceSession(
                path.read_bytes(), single_threaded(), providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # noqa: BLE001  onnxruntime raises a dozen unrelated types
            raise BundleInvalid(f"{path} cannot be opened: {error}") from None
        self._outputs = ["error", "expected", "scale", *(f"next_{t.name}" for t in self.state)]
        self._check_names(str(path))

    def run(
        self, state: npt.NDArray[np.void], values: Float32Array, entity_index: npt.NDArray[np.int64]
    ) -> Detection:
        """Score `values` (batch, dimension) against `state` (batch,), records with our tensors."""
        chunks = [
            self._run_chunk(state[start : start + CHUNK_ROWS], values, entity_index, start=start)
            for start in range(0, len(values), CHUNK_ROWS)
        ]
        error, expected, scale, *tensors = (
            outputs[0] if len(chunks) == 1 else np.concatenate(outputs)
            for outputs in zip(*chunks, strict=True)
        )
        names = (tensor.name for tensor in self.state)
        return Detection(error, expected, scale, dict(zip(names, tensors, strict=True)))

    def _run_chunk(
        self,
        state: npt.NDArray[np.void],
        values: Float32Array,
        entity_index: npt.NDArray[np.int64],
        *,
        start: int,
    ) -> list[Float32Array]:
        rows = len(state)
        feed = {
            "values": _padded(values[start : start + rows]),
            "entity_index": _padded(entity_index[start : start + rows]),
            **{f"state_{t.name}": _padded(state[t.name]) for t in self.state},
        }
        return [output[:rows] for output in self._session.run(self._outputs, feed)]

    def _check_names(self, path: str) -> None:
        inputs = {"values", "entity_index", *(f"state_{tensor.name}" for tensor in self.state)}
        found = {node.name for node in self._session.get_inputs()}
        missing = set(self._outputs) - {node.name for node in self._session.get_outputs()}
        if found != inputs or missing:
            raise BundleInvalid(
                f"{path} must take {sorted(inputs)} and give {self._outputs}; "
                f"it takes {sorted(found)} and does not give {sorted(missing)}"
            )


def single_threaded() -> ort.SessionOptions:
    """Session options under which a score does not depend on batch or machine load."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return options


def _padded(rows: npt.NDArray[_Number]) -> npt.NDArray[_Number]:
    padded = np.zeros((-len(rows) % BATCH_MULTIPLE + len(rows), *rows.shape[1:]), rows.dtype)
    padded[: len(rows)] = rows
    return padded
