"""A training in a picture: its losses, and what the network expects of rows it was not shown."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from service.scoring.series import FloatArray
from trainer.fitted import Fitted
from trainer.graphs import window_graph
from trainer.pictures.curves import losses
from trainer.pictures.ink import legend, panels, png
from trainer.pictures.reconstruction import panel
from trainer.pictures.time_axis import ticks_of

POINTS = 240  # of the validation part, the last ones
SHOWN = 4  # dimensions, those that move most there


def visualise(path: Path, fitted: Fitted) -> None:
    """Draw the first entity; neither weights nor chance of the training are touched."""
    rows, expected, scale = _expected(fitted)
    spread = rows.std(axis=0) / fitted.linear.scaling.span[1]
    shown = np.argsort(-spread, kind="stable")[:SHOWN]
    ratios = [1.4, *[1.0] * len(shown)]
    above, *below = panels(
        len(ratios), height=2.2 + 1.5 * len(shown), ratios=ratios, is_shared=False
    )
    losses(above, [asdict(progress) for progress in fitted.history])
    above.set_title(f"after epoch {fitted.history[-1].epoch}", loc="right")
    legend(above, columns=2)
    for axes, d in zip(below, shown, strict=True):
        panel(axes, np.arange(float(len(rows))), rows[:, d], expected[:, d], half=scale[:, d])
        axes.set_ylabel(ticks_of([fitted.dimensions[d]])[0])
    below[-1].set_xlabel(f"held-out points of {fitted.entities[0]}: value, expected ± scale")
    png(above, path)


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
