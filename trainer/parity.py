"""What is measured on exported graphs before anyone may trust them.

Parity compares the graphs with PyTorch and with each other over the same windows, in scaled units
relative to max(1, |value|). Batch invariance asks whether a row's answer depends on who shares its
batch.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from service.scoring.detector import single_threaded
from service.scoring.series import FloatArray
from trainer.config import GruVaeConfig
from trainer.fitted import Fitted
from trainer.graphs import state_shapes
from trainer.reference import is_clear, reference

WINDOWS = 64  # compared, half of them real
WILD_SPANS = 1e3  # how far one value of some random windows lies outside
PAD = 16  # rows; the service pads every batch to a multiple of it

Array = npt.NDArray[np.float32]
IndexArray = npt.NDArray[np.int64]
State = dict[str, Array]


class Graphs:
    """Both graphs of a folder in single-threaded sessions, as the service runs them."""

    def __init__(
        self, folder: Path, shapes: Mapping[str, tuple[int, ...]], *, step: str = "step.onnx"
    ) -> None:
        self._shapes = dict(shapes)
        self._step, self._window = (
            ort.InferenceSession(
                folder / name, single_threaded(), providers=["CPUExecutionProvider"]
            )
            for name in (step, "window.onnx")
        )

    def fresh(self, batch: int) -> State:
        """The zero state."""
        return {name: np.zeros((batch, *s), np.float32) for name, s in self._shapes.items()}

    def step(
        self, values: Array, entity_index: IndexArray, state: State
    ) -> tuple[list[Array], State]:
        """One row each (batch, dimension) -> error, expected, scale, and the next state."""
        feed = {f"state_{name}": tensor for name, tensor in state.items()}
        outputs = self._step.run(
            ["error", "expected", "scale", *(f"next_{name}" for name in state)],
            {"values": values, "entity_index": entity_index, **feed},
        )
        return list(outputs[:3]), dict(zip(state, outputs[3:], strict=True))

    def replay(self, rows: Array, entity_index: IndexArray) -> tuple[list[Array], State]:
        """Rows (batch, time, dimension) from the zero state -> the last answer and state."""
        answer: list[Array] = []
        state = self.fresh(len(rows))
        for time in range(rows.shape[1]):
            answer, state = self.step(np.ascontiguousarray(rows[:, time]), entity_index, state)
        return answer, state

    def window(self, rows: Array, entity_index: IndexArray) -> list[Array]:
        """Windows (batch, time, dimension) -> error, expected, scale of the last row."""
        feed = {"window": rows, "entity_index": entity_index}
        return list(self._window.run(["error", "expected", "scale"], feed))


def measure_parity(fitted: Fitted, folder: Path) -> dict[str, float]:
    """Largest differences: graphs against PyTorch, each other, and themselves in a batch."""
    graphs = Graphs(folder, state_shapes(fitted))
    rows, entity = _windows(fitted)
    span = fitted.linear.scaling.span[entity]
    known = reference(fitted, rows.astype(np.float64), entity)
    expected = _as_distances(fitted, [known.error, known.expected, known.scale])
    window = _as_distances(fitted, _in_scaled_units(graphs.window(rows, entity), span))
    answer, state = graphs.replay(rows, entity)
    step = _as_distances(fitted, _in_scaled_units(answer, span))
    return {
        "torch_window": _difference(expected, window),
        "torch_step": _difference(expected, step),
        "window_step": _difference(window, step),
        "batch": _batch_difference(graphs, rows[:, -1], entity, state),
    }


def batch_difference(fitted: Fitted, graphs: Graphs) -> float:
    """Largest difference of what a step graph says of a row alone and in a batch."""
    rows, entity = _windows(fitted)
    _, state = graphs.replay(rows, entity)
    return _batch_difference(graphs, rows[:, -1], entity, state)


def _windows(fitted: Fitted) -> tuple[Array, IndexArray]:
    """Centred windows (batch, time, dimension), real ones first, and their entities (batch,).

    One about as near to two centroids is replaced: rounding may choose either.
    """
    random = np.random.default_rng(fitted.config.seed)
    scaling, length = fitted.linear.scaling, fitted.config.window_length
    real = WINDOWS // 2
    entity = random.integers(len(fitted.entities), size=real) + 1
    windows = []
    for index in entity:
        rows = fitted.rows(index)[fitted.splits[index - 1].fit]
        start = random.integers(max(len(rows) - length, 0) + 1)
        window = rows[start : start + length] - scaling.center[index]
        windows.append(np.pad(window, ((length - len(window), 0), (0, 0)), mode="edge"))
    anyone = random.integers(len(fitted.entities) + 1, size=WINDOWS - real)
    shape = (len(anyone), length, len(fitted.dimensions))
    noise = random.uniform(-1.0, 2.0, shape)
    noise[::4, -1, 0] = WILD_SPANS  # one broken sensor must not disturb the others
    made = scaling.offset[anyone][:, None] + scaling.span[anyone][:, None] * noise
    rows = np.concatenate([np.stack(windows), made]).astype(np.float32)
    entity = np.concatenate([entity, anyone]).astype(np.int64)
    clear = np.flatnonzero(is_clear(fitted, rows.astype(np.float64), entity))
    chosen = np.sort(np.resize(clear, WINDOWS))
    return rows[chosen], entity[chosen]


def _in_scaled_units(answer: list[Array], span: FloatArray) -> list[FloatArray]:
    error, expected, scale = (part.astype(np.float64) for part in answer)
    return [error, expected / span, scale / span]


def _as_distances(fitted: Fitted, answer: list[FloatArray]) -> list[FloatArray]:
    """A deviance as the distance it was made of, whose digits do not depend on the scale."""
    config = fitted.config
    if not isinstance(config, GruVaeConfig) or config.error == "distance":
        return answer
    error, expected, scale = answer
    own = np.array([member == config.own for member in config.members])[:, None]
    return [np.where(own, np.sqrt(2 * error) * scale[:, None], error), expected, scale]


def _difference(one: list[FloatArray], other: list[FloatArray]) -> float:
    """Largest |a - b| / max(1, |a|); infinite where anything is not a number."""
    pairs = zip(one, other, strict=True)
    worst = max(float((np.abs(a - b) / np.maximum(1, np.abs(a))).max()) for a, b in pairs)
    return worst if np.isfinite(worst) else np.inf


def _batch_difference(graphs: Graphs, values: Array, entity: IndexArray, state: State) -> float:
    """Largest difference of any output between a row alone, padded, and in a batch."""
    backwards = np.arange(len(values))[::-1]
    together = _outputs(graphs, values, entity, state, rows=backwards)
    worst = 0.0
    for place, row in enumerate(backwards):
        alone = _outputs(graphs, values, entity, state, rows=np.full(PAD, row))
        pairs = zip(alone, together, strict=True)
        worst = max(worst, *(float(np.abs(a[0] - b[place]).max()) for a, b in pairs))
    return worst


def _outputs(
    graphs: Graphs, values: Array, entity: IndexArray, state: State, *, rows: IndexArray
) -> list[Array]:
    chosen = {name: tensor[rows] for name, tensor in state.items()}
    answer, following = graphs.step(values[rows], entity[rows], chosen)
    return [*answer, *following.values()]
