"""What is exported: the whole path from raw values to errors as two torch modules.

A step graph sees one row and carries its state, a window graph sees a window and starts from zero;
both give the same numbers for the same rows. The state always holds the lags, the last rows in
standardised units; a recurrent network adds its own. `window_outputs` names what a window graph
gives: a network may add what explains it, which no score needs.
"""

from torch import nn

from trainer.fitted import Fitted
from trainer.graphs import feed_forward, recurrent, windowed, windowed_pca
from trainer.linear import LAGS
from trainer.models.gru_vae import GruVae
from trainer.models.slmr import Slmr
from trainer.models.window_network import WindowNetwork

__all__ = ["state_shapes", "step_graph", "window_graph", "window_outputs"]


def step_graph(fitted: Fitted) -> nn.Module:
    """(values, entity_index, *state) -> (error, expected, scale, *next state)."""
    if isinstance(fitted.network, GruVae):
        return recurrent.StepGraph(fitted, fitted.network)
    if isinstance(fitted.network, Slmr | WindowNetwork):
        return windowed.StepGraph(windowed.heads_of(fitted, fitted.network))
    if fitted.window_pca is not None:
        return windowed_pca.StepGraph(fitted, fitted.window_pca)
    return feed_forward.StepGraph(fitted, fitted.network)


def window_graph(fitted: Fitted) -> nn.Module:
    """(window, entity_index) -> (error, expected, scale) of its last row, and what explains it."""
    if isinstance(fitted.network, GruVae):
        return recurrent.WindowGraph(fitted, fitted.network)
    if isinstance(fitted.network, Slmr | WindowNetwork):
        return windowed.WindowGraph(windowed.heads_of(fitted, fitted.network))
    if fitted.window_pca is not None:
        return windowed_pca.WindowGraph(fitted, fitted.window_pca)
    return feed_forward.WindowGraph(fitted, fitted.network)


def state_shapes(fitted: Fitted) -> dict[str, tuple[int, ...]]:
    """The tensors that a step graph carries, in the order of its inputs, without the batch axis."""
    if isinstance(fitted.network, Slmr | WindowNetwork):
        return {"lags": (fitted.config.window_length - 1, len(fitted.dimensions))}
    if fitted.window_pca is not None:
        return windowed_pca.state_shapes(fitted.window_pca)
    lags: dict[str, tuple[int, ...]] = {"lags": (LAGS, len(fitted.dimensions))}
    if isinstance(fitted.network, GruVae):
        return {**lags, **recurrent.state_shapes(fitted.network)}
    return lags


def window_outputs(fitted: Fitted) -> list[str]:
    """Names of what a window graph gives."""
    match fitted.network:
        case Slmr():
            extra: tuple[str, ...] = ("attention",)
        case GruVae():
            extra = ("latent",)
        case WindowNetwork(map_names=names):
            extra = names
        case _:
            extra = ()
    return ["error", "expected", "scale", *extra]
