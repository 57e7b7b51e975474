"""Curves of a whole bundle: its loss, its floors, its budget."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from trainer.evaluate import Measures
from trainer.measures.events import FloatArray
from trainer.pictures.ink import ALARM, FAINT, MODEL, TRUE, legend, panels
from trainer.tables import ROWS

COMPARED = {"average_precision": "average precision", "vus_pr": "VUS-PR"}


def draw_loss(epochs: Sequence[Mapping[str, float]], *, best_epoch: int) -> Axes:
    """Training and validation loss at every validation, and the epoch whose weights were kept."""
    (axes,) = panels(1, height=3.0)
    losses(axes, epochs)
    if best_epoch:
        axes.axvline(best_epoch, color=ALARM, linestyle=":", label=f"kept: epoch {best_epoch}")
    legend(axes, columns=3)
    return axes


def losses(axes: Axes, epochs: Sequence[Mapping[str, float]]) -> None:
    """One panel: both losses by epoch; there may be many validations in one."""
    last = epochs[-1]
    steps = last.get("step", last["epoch"]) / last["epoch"]  # of an epoch
    at = [epoch.get("step", epoch["epoch"]) / steps for epoch in epochs]
    axes.plot(at, [epoch["loss"] for epoch in epochs], "o-", color=TRUE, ms=3, label="training")
    held_out = [epoch["validation_loss"] for epoch in epochs]
    axes.plot(at, held_out, "s--", color=MODEL, ms=3, label="held out")
    axes.set(xlabel="epoch", ylabel="loss")
    axes.locator_params(axis="x", integer=True)


def draw_floors(rows: Mapping[str, Measures]) -> Axes:
    """Ranking measures of the bundle and of each floor, 0 to 1."""
    names = [name for name in ROWS if name in rows]
    (axes,) = panels(1, height=0.9 + 0.32 * len(names))
    places = np.arange(len(names))
    looks = zip(COMPARED.items(), (("o", TRUE, -0.14), ("D", MODEL, 0.14)), strict=True)
    for (measure, title), (marker, color, shift) in looks:
        values = np.array([rows[name].get(measure, np.nan) for name in names])
        axes.hlines(places + shift, 0, values, color=FAINT, linewidth=0.8)
        axes.plot(values, places + shift, marker, color=color, markersize=5, label=title)
    axes.set_yticks(places, labels=[ROWS[name] for name in names])
    axes.set_xlim(0.0, 1.0)
    axes.invert_yaxis()
    axes.set_xlabel("0: nothing found, 1: every anomaly ranked before every normal point")
    legend(axes, columns=2)
    return axes


def draw_budgets(budgets: FloatArray, observed: Mapping[str, FloatArray], *, chosen: float) -> Axes:
    """Incidents per entity-day that each budget would have led to."""
    (axes,) = panels(1, height=3.4)
    axes.plot(budgets, budgets, color=FAINT, linestyle=":", label="as promised")
    looks = (("o-", TRUE), ("s-", MODEL))
    for (name, rates), (style, color) in zip(observed.items(), looks, strict=False):
        axes.plot(budgets, rates, style, color=color, markersize=3, label=name)
    axes.axvline(chosen, color=ALARM, linestyle="--", linewidth=1, label=f"budget {chosen:g}")
    axes.set_xscale("log")
    axes.set_yscale("symlog", linthresh=0.1)
    axes.set_ylim(bottom=0.0)
    axes.set(xlabel="budget: false incidents per entity-day", ylabel="observed per entity-day")
    legend(axes, columns=2)
    return axes
