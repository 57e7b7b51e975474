"""The GRU-VAE as step and window graphs, hardly trained.

Speed needs no training; what int8 costs needs weights that have learnt to remember something.
"""

import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort

from service.scoring.detector import single_threaded
from service.scoring.series import Series
from trainer.config import Preset, preset
from trainer.export import write_graphs
from trainer.fit import fit
from trainer.fitted import Fitted
from trainer.precision import INT8_STEP, measure_precision
from trainer.quantise import quantised

DIMENSIONS, POINTS, LATENT = 38, 4000, 8
PERIOD_MS = 60_000
Feed = dict[str, npt.NDArray[np.float32] | npt.NDArray[np.int64]]


class Graphs(NamedTuple):
    """Sessions of one model, one thread each, and what is known of it."""

    step: ort.InferenceSession
    int8: ort.InferenceSession
    window: ort.InferenceSession
    window_length: int
    hidden: int
    step_flops: int  # of the products with constants, per point
    precision: dict[str, float]  # what int8 costs


def graphs_of(name: Preset, *, epochs: int) -> Graphs:
    """Export a preset; 0 `epochs`: with its initial weights."""
    config = preset(name, model="gru_vae", epochs=epochs)
    fitted = fit([series()], config)
    with tempfile.TemporaryDirectory(prefix="gaugewatch-bench-") as kept:
        folder = Path(kept)
        write_graphs(fitted, folder)
        step = onnx.load(folder / "step.onnx")
        onnx.save(quantised(step), folder / INT8_STEP)
        return Graphs(
            step=_session(folder / "step.onnx"),
            int8=_session(folder / INT8_STEP),
            window=_session(folder / "window.onnx"),
            window_length=config.window_length,
            hidden=_hidden(fitted),
            step_flops=flops(step),
            precision=measure_precision(fitted, folder),
        )


def series() -> Series:
    """One entity: a few mixed processes, a rhythm, noise, and stretches of trouble at the end."""
    random = np.random.default_rng(0)
    walks = random.normal(size=(POINTS, LATENT)).cumsum(axis=0) / np.sqrt(POINTS)
    rhythm = np.sin(np.arange(POINTS)[:, None] / random.uniform(5, 60, LATENT))
    values = (walks + rhythm) @ random.normal(size=(LATENT, DIMENSIONS))
    values += random.normal(scale=0.2, size=values.shape)
    for start in range(POINTS - 1000, POINTS, 200):
        values[start : start + 20, random.integers(DIMENSIONS, size=4)] += 8.0
    return Series(
        entity="bench",
        dimensions=tuple(f"d{number:02d}" for number in range(DIMENSIONS)),
        timestamps_ms=np.arange(POINTS, dtype=np.int64) * PERIOD_MS,
        values=values,
        label=None,
        segments=(),
    )


def feed_of(session: ort.InferenceSession, batch: int) -> Feed:
    """Seeded inputs of a graph; a state within the bounds of a GRU."""
    random = np.random.default_rng(0)
    feed: Feed = {}
    for taken in session.get_inputs():
        shape = (batch, *taken.shape[1:])
        if taken.type == "tensor(int64)":
            feed[taken.name] = np.zeros(shape, np.int64)
        else:
            feed[taken.name] = random.uniform(-0.9, 0.9, shape).astype(np.float32)
    return feed


def flops(model: onnx.ModelProto) -> int:
    """Two per weight of the products with constant matrices, for one row."""
    sizes = {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}
    found = 0
    for node in model.graph.node:
        if node.op_type in ("MatMul", "Gemm"):
            rows, columns = next(sizes[name] for name in node.input if name in sizes)
            found += 2 * rows * columns
    return found


def _session(path: Path) -> ort.InferenceSession:
    return ort.InferenceSession(
        path.read_bytes(), single_threaded(), providers=["CPUExecutionProvider"]
    )


def _hidden(fitted: Fitted) -> int:
    return int(fitted.config.model_dump()["hidden"])
