"""Which network a configuration of a model over whole windows asks for."""

from collections.abc import Callable

from trainer.configs_window import (
    DagmmConfig,
    LstmVaeConfig,
    MadGanConfig,
    MtadGatConfig,
    RvaeConfig,
    UsadConfig,
    VaeLstmConfig,
    WindowConfig,
)
from trainer.models.dagmm import Dagmm
from trainer.models.lstm_vae import LstmVae
from trainer.models.mad_gan import MadGan
from trainer.models.mtad_gat import MtadGat
from trainer.models.rvae import Rvae
from trainer.models.usad import Usad
from trainer.models.vae_lstm import VaeLstm
from trainer.models.window_network import WindowNetwork

NETWORKS: dict[type[WindowConfig], Callable[..., WindowNetwork]] = {
    DagmmConfig: Dagmm,
    LstmVaeConfig: LstmVae,
    MadGanConfig: MadGan,
    MtadGatConfig: MtadGat,
    RvaeConfig: Rvae,
    UsadConfig: Usad,
    VaeLstmConfig: VaeLstm,
}


def window_network(dimensions: int, config: WindowConfig) -> WindowNetwork:
    """With its initial weights."""
    return NETWORKS[type(config)](dimensions, config)
