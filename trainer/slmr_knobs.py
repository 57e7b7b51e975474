"""The knobs of SLMR, and the sizes of its paper."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt, field_validator

from trainer.knobs import NUMBERS, NetworkConfig, later

MaskMode = Literal["temporal", "spatial", "separate", "bernoulli"]
Heads = Literal["both", "forecast", "reconstruction"]


class SlmrConfig(NetworkConfig):
    """SLMR; the defaults are the preset `small`."""

    model: Literal["slmr"] = "slmr"
    window_length: int = Field(default=11, ge=5, description="points; the lookback and one")
    hidden: PositiveInt = Field(default=48, description="units of the memory")
    memory_layers: PositiveInt = later(1, description="GRUs of the memory, one above the other")
    conv_groups: PositiveInt = Field(default=4, description="of channels, apart at every scale")
    group_channels: PositiveInt = Field(default=4, description="of each group, at every scale")
    dilations: Annotated[tuple[PositiveInt, ...], *NUMBERS] = Field(
        default=(1, 1, 1, 1), description="of the convolutions over 1, 3, 5, ... points"
    )
    squeeze: PositiveInt = later(16, description="dimensions per unit inside the attention")
    heads: Heads = later("both", description="what is learned and scored")
    forecast_hidden: PositiveInt | None = later(None, description="units of it; none: hidden")
    forecast_layers: PositiveInt = later(1, description="dense layers of the forecast")
    decoder_hidden: PositiveInt | None = later(
        None, description="units of the reconstruction; none: hidden"
    )
    decoder_layers: PositiveInt = later(1, description="GRUs of the reconstruction")
    spatial_groups: int = Field(
        default=5, ge=0, description="hidden in turn when scoring; 0: nothing is, as published"
    )
    gamma: float = Field(default=0.8, ge=0, description="weight of the reconstruction")
    learning_gamma: float | None = later(
        None, gt=0, description="of it while learning; none: gamma"
    )
    is_linear_skip: bool = later(True, description="model what leave-one-out leaves over")
    likelihood: Literal["laplace", "rmse"] = later(
        "laplace", description="with a learned scale, or root mean squares without one"
    )
    scale_low: float = Field(default=0.3, gt=0, lt=1, description="of the scale by the linear")
    scale_high: float = Field(default=2.0, gt=1, description="of it, too")
    aggregation: Literal["top", "max", "mean"] = later(
        "top", description="of dimensions: an eighth of them, the largest errors; one; or all"
    )
    dropout: float = Field(default=0.1, ge=0, lt=1, description="in the forecast, between layers")
    mask_mode: MaskMode = Field(default="spatial", description="what learning hides")
    mask_ratio: float = Field(default=0.03, ge=0, lt=0.5, description="hidden while learning")
    mask_length: float = Field(default=3.0, ge=1, description="mean run of hidden points")

    learning_rate: float = Field(default=1e-2, gt=0)
    l2: float = Field(default=1e-3, ge=0)
    gradient_norm: float = Field(default=5.0, ge=0)
    batch: PositiveInt = Field(default=128, description="windows per update")
    epochs: int = Field(default=30, ge=0, description="0: the untrained network")
    epoch_steps: int = Field(
        default=50, ge=0, description="updates per epoch; 0: as many as there are windows / batch"
    )

    @field_validator("window_length")
    @classmethod
    def _is_odd(cls, length: int) -> int:
        """Its lookback goes in pairs into the halves."""
        if length % 2 == 0:
            raise ValueError(f"expected an odd number, got {length}")
        return length

    @property
    def reconstruction_weight(self) -> float:
        """Of the loss of the reconstruction beside that of the forecast."""
        return self.gamma if self.learning_gamma is None else self.learning_gamma


# `paper`: the sizes of the public code, 180 channels at each scale but its first, which is nothing
SLMR_PRESETS: dict[str, dict[str, object]] = {
    "small": {},
    "base": {
        "hidden": 96,
        "group_channels": 8,
        "learning_rate": 2e-3,
        "epochs": 60,
        "patience": 15,
        "threads": 2,
    },
    "paper": {
        "hidden": 150,
        "conv_groups": 6,
        "group_channels": 30,
        "dropout": 0.3,
        "learning_rate": 1e-3,
        "batch": 256,
        "epochs": 60,
        "patience": 15,
        "threads": 2,
    },
}
