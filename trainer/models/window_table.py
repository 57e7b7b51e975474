"""Which network a configuration of a model over whole windows asks for."""

from collections.abc import Callable

from trainer.configs_window import RvaeConfig, VaeLstmConfig, WindowConfig
from trainer.models.rvae import Rvae
from trainer.models.vae_lstm import VaeLstm
from trainer.models.window_network import WindowNetwork

NETWORKS: dict[type[WindowConfig], Callable[..., WindowNetwork]] = {
    RvaeConfig: Rvae,
    VaeLstmConfig: VaeLstm,
}


def window_network(dimensions: int, config: WindowConfig) -> WindowNetwork:
    """With its initial weights."""
    return NETWORKS[type(config)](dimensions, config)
