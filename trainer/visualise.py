"""A training in a picture: its losses, and what the network expects of rows it was not shown."""

from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from service.scoring.series import FloatArray
from trainer.canvas import MODEL, QUIET, TRUE, clean, save
from trainer.fitted import Fitted
from trainer.graphs import window_graph

POINTS = 240  # of the validation part, the last ones
SHOWN = 4  # dimensions, those that move most there


def visualise(path: Path, fitted: Fitted) -> None:
    """Draw the first entity; neither weights nor chance of the training are touched."""
    rows, expected, scale = _expected(fitted)
    spread = rows.std(axis=0) / fitted.linear.scaling.span[1]
    shown = np.argsort(-spread, kind="stable")[:SHOWN]
    figure = Figure(figsize=(9.0, 2.2 + 1.5 * len(shown)), layout="constrained")
    panels = figure.subplots(1 + len(shown), 1, height_ratios=[1.4, *([1] * len(shown))])
    last = fitted.history[-1]
    at = [progress.step / (last.step / last.epoch) for progress in fitted.history]
    losses = {
        "training": ([progress.loss for progress in fitted.history], TRUE),
        "held out": ([progress.validation_loss for progress in fitted.history], MODEL),
    }
    for label, (loss, color) in losses.items():
        panels[0].plot(at, loss, color=color, marker=".", label=label)
    panels[0].legend(frameon=False)
    panels[0].set(xlabel="epoch", ylabel="loss", title=f"after epoch {last.epoch}")
    panels[-1].set(xlabel=f"held-out points of {fitted.entities[0]}: true, expected, scale")
    time = np.arange(len(rows))
    for panel, dimension in zip(panels[1:], shown, strict=True):
        low, high = (expected + sign * scale for sign in (-1, 1))
        panel.fill_between(time, low[:, dimension], high[:, dimension], color=QUIET, alpha=0.3)
        panel.plot(time, rows[:, dimension], color=TRUE, linewidth=0.8)
        panel.plot(time, expected[:, dimension], color=MODEL, linewidth=0.8)
        panel.set(ylabel=fitted.dimensions[dimension])
    for panel in panels:
        clean(panel)
    save(figure, path)


def _expected(fitted: Fitted) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Held-out rows, what is expected of them, and how sure it is: (time, dimension), raw units."""
    length, part = fitted.config.window_length, fitted.splits[0].validation
    center = fitted.linear.scaling.center[1]
    first = max(part.stop - POINTS, length - 1)
    rows = fitted.rows(1)[first - length + 1 : part.stop] - center
    windows = np.lib.stride_tricks.sliding_window_view(rows, length, axis=0).swapaxes(1, 2)
    batch = torch.from_numpy(np.ascontiguousarray(windows, dtype=np.float32))
    entity = torch.ones(len(batch), dtype=torch.int64)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        graph = window_graph(fitted).eval()
        _, expected, scale, *_ = graph(batch, entity)
    raw = rows[length - 1 :] + center
    return raw, expected.double().numpy() + center, scale.double().numpy()
