"""The knobs of the models that look at a whole window at every point; `small` is the default."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt, ValidationInfo, field_validator

from trainer.knobs import NUMBERS, NetworkConfig

WindowScore = Literal["last_step", "last_window", "sum"]


class WindowConfig(NetworkConfig):
    """What every network over whole windows understands."""

    is_linear_skip: bool = Field(default=False, description="model what a PCA leaves over")
    learning_rate: float = Field(default=1e-3, gt=0)
    l2: float = Field(default=0.0, ge=0)
    batch: PositiveInt = Field(default=64, description="windows per update")
    epochs: int = Field(default=30, ge=0, description="0: the untrained network")
    epoch_steps: int = Field(
        default=50, ge=0, description="updates per epoch; 0: as many as there are windows / batch"
    )


class VaeLstmConfig(WindowConfig):
    """VAE-LSTM; the defaults are the preset `small`."""

    model: Literal["vae_lstm"] = "vae_lstm"
    window_length: int = Field(default=64, ge=16, description="points of all local windows")
    windows: int = Field(
        default=4, ge=2, validate_default=True, description="local, one behind the other"
    )
    hidden: int = Field(default=256, ge=16, multiple_of=16, description="of the dense layers")
    code: PositiveInt = Field(default=6, description="numbers that stand for a local window")
    lstm_hidden: PositiveInt = Field(default=32, description="of the LSTM over codes")
    sigma: float = Field(default=0.1, gt=0, description="noise of the decoder, in scaled units")
    is_sigma_learned: bool = Field(default=False, description="the noise, with the weights")
    frozen_share: float = Field(
        default=0.3, ge=0, lt=1, description="of the updates, at their end: codes stand still"
    )
    score: WindowScore = Field(default="last_step", description="what the error is taken over")

    @field_validator("windows")
    @classmethod
    def _are_whole(cls, windows: int, info: ValidationInfo) -> int:
        """Three layers halve a local window."""
        length = info.data.get("window_length", 8 * windows)
        if length % (8 * windows):
            raise ValueError(
                f"expected a window_length of {windows} times 8, 16, 24, ... points, got {length}"
            )
        return windows


class DagmmConfig(WindowConfig):
    """DAGMM; the defaults are the preset `small`."""

    model: Literal["dagmm"] = "dagmm"
    window_length: int = Field(default=5, ge=5, description="points; at least the 5 of the lags")
    is_pointwise: bool = Field(default=True, description="only the newest of them goes in")
    layers: Annotated[tuple[PositiveInt, ...], *NUMBERS] = Field(
        default=(32, 16), description="sizes between a point and its code"
    )
    code: PositiveInt = Field(default=2, description="numbers that stand for a point")
    gaussians: PositiveInt = Field(default=4, description="of the mixture")
    hidden: PositiveInt = Field(default=10, description="of the network that tells membership")
    dropout: float = Field(default=0.5, ge=0, lt=1, description="in that network")
    energy_weight: float = Field(default=0.1, ge=0, description="lambda 1")
    penalty_weight: float = Field(default=1e-4, ge=0, description="lambda 2; 0.005 in the paper")
    learning_rate: float = Field(default=3e-3, gt=0)
    batch: PositiveInt = Field(default=256, description="windows per update")


class LstmVaeConfig(WindowConfig):
    """LSTM-VAE; the defaults are the preset `small`."""

    model: Literal["lstm_vae"] = "lstm_vae"
    window_length: int = Field(default=32, ge=5, description="points")
    hidden: PositiveInt = Field(default=32, description="of the LSTMs")
    latent: PositiveInt = Field(default=3, description="numbers that stand for a window")
    likelihood: Literal["mse", "gaussian"] = Field(
        default="mse", description="gaussian: the spread of every value is learned, too"
    )
    scale_low: float = Field(default=0.02, gt=0, lt=1, description="of a learned spread")
    kl_weight: float = Field(default=0.1, ge=0, description="weight of the divergence")
    learning_rate: float = Field(default=3e-3, gt=0)
    batch: PositiveInt = Field(default=100, description="windows per update")


class MadGanConfig(WindowConfig):
    """MAD-GAN; the defaults are the preset `small`."""

    model: Literal["mad_gan"] = "mad_gan"
    is_linear_skip: Literal[False] = Field(default=False, description="values between 0 and 1")
    window_length: int = Field(default=30, ge=5, description="points")
    hidden: PositiveInt = Field(default=48, description="of all three LSTMs")
    latent: PositiveInt = Field(default=15, description="numbers of the code of a point")
    generator_rounds: PositiveInt = Field(
        default=3, description="updates of the generator to one of the discriminator"
    )
    cycle_weight: float = Field(
        default=100.0, ge=0, description="of the generator's share in inverting it; 0: as published"
    )
    discrimination_weight: float = Field(default=0.5, ge=0, le=1, description="lambda")
    learning_rate: float = Field(default=3e-3, gt=0)


class MtadGatConfig(WindowConfig):
    """MTAD-GAT; the defaults are the preset `small`."""

    model: Literal["mtad_gat"] = "mtad_gat"
    window_length: int = Field(default=21, ge=5, description="points; the lookback and one")
    hidden: PositiveInt = Field(default=48, description="of the GRUs and of the forecast")
    depth: PositiveInt = Field(default=1, description="dense layers of the forecast")
    embed: int = Field(
        default=16, ge=0, description="numbers a pair of nodes is judged by; 0: twice a node's"
    )
    gamma: float = Field(default=1.0, ge=0, description="weight of the reconstruction")
    dropout: float = Field(default=0.1, ge=0, lt=1, description="in the forecast")
    learning_rate: float = Field(default=3e-3, gt=0)


class RvaeConfig(WindowConfig):
    """The recurrent VAE; the defaults are the preset `small`."""

    model: Literal["rvae"] = "rvae"
    window_length: int = Field(default=64, ge=5, description="points")
    hidden: PositiveInt = Field(default=32, description="of the GRUs")
    dense: PositiveInt = Field(default=32, description="of the dense layers")
    latent: PositiveInt = Field(default=8, description="numbers that stand for a window")
    reconstruction: Literal["mse", "bce"] = Field(
        default="mse", description="bce: binary cross-entropy, values between 0 and 1"
    )
    kl_weight: float = Field(default=1e-3, ge=0, description="weight of the divergence")
    beta_epochs: int = Field(default=5, ge=0, description="the KL weight grows from 0 over these")
    learning_rate: float = Field(default=3e-3, gt=0)

    @field_validator("reconstruction")
    @classmethod
    def _is_possible(cls, reconstruction: str, info: ValidationInfo) -> str:
        """What a PCA leaves over is no probability."""
        if reconstruction == "bce" and info.data.get("is_linear_skip"):
            raise ValueError("expected mse with is_linear_skip, got bce")
        return reconstruction


class UsadConfig(WindowConfig):
    """USAD; the defaults are the preset `small`."""

    model: Literal["usad"] = "usad"
    is_linear_skip: Literal[False] = Field(default=False, description="values between 0 and 1")
    window_length: int = Field(default=12, ge=5, description="points")
    hidden: PositiveInt = Field(default=512, description="no layer is wider")
    latent: PositiveInt = Field(default=40, description="numbers that stand for a window")
    alpha: float = Field(
        default=0.5, ge=0, le=1, description="weight of the first autoencoder; 0.1 finds more"
    )
    last_e: float = Field(default=2.0, ge=1, description="the adversary has a weight of 1 - 1 / e")
    score: Literal["last_step", "sum"] = Field(
        default="last_step", description="what the error is taken over"
    )
    batch: PositiveInt = Field(default=128, description="windows per update")
    epoch_steps: PositiveInt = Field(default=100, description="updates per epoch")


WINDOW_CONFIGS: dict[str, type[WindowConfig]] = {
    "dagmm": DagmmConfig,
    "lstm_vae": LstmVaeConfig,
    "mad_gan": MadGanConfig,
    "mtad_gat": MtadGatConfig,
    "rvae": RvaeConfig,
    "usad": UsadConfig,
    "vae_lstm": VaeLstmConfig,
}
