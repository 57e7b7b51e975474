"""The knobs of the GRU-VAE, and the paper's own recipe."""

from typing import Literal, Self

from pydantic import Field, PositiveInt, model_validator

from trainer.knobs import NetworkConfig, later


class GruVaeConfig(NetworkConfig):
    """The GRU-VAE; the defaults are the preset `small`."""

    model: Literal["gru_vae"] = "gru_vae"
    window_length: int = Field(default=50, ge=8, description="points of the window graph")
    hidden: PositiveInt = Field(default=48, description="units of both recurrent layers")
    dense: PositiveInt = Field(default=48, description="units of the dense layers")
    latent: PositiveInt = Field(default=8, description="dimensions of z")
    flows: PositiveInt = Field(default=4, description="of the posterior; none if flow_type is none")
    flow_type: Literal["nf", "none"] = later("nf", description="planar flows, or none")
    cell: Literal["gru", "lstm"] = later("gru", description="of both recurrent layers")
    is_connected_q: bool = later(True, description="the posterior of z_t knows z_{t-1}")
    is_connected_p: bool = later(
        True, description="the prior of z is a random walk, else a standard normal"
    )
    dense_activation: Literal["none", "relu"] = Field(
        default="none", description="behind every dense layer"
    )
    is_linear_skip: bool = Field(default=True, description="model what a PCA leaves over")
    is_standardised: bool = later(
        True, description="divide what it sees by its spread; else it sees scaled values"
    )
    scale_form: Literal["bounded", "softplus"] = later(
        "bounded", description="standard deviation of x: .05 to 3, or above std_epsilon"
    )
    std_epsilon: float = later(
        1e-4, gt=0, description="least standard deviation of z, and of x where it is softplus"
    )
    error: Literal["distance", "deviance"] = later(
        "distance", description="|x - mean|, or half its square in standard deviations"
    )
    is_int8: bool | None = Field(default=None, description="the recurrent products, when serving")

    learning_rate: float = Field(default=4e-3, gt=0, description="of the first update")
    l2: float = Field(default=1e-4, ge=0, description="weight decay")
    lesson: Literal["lanes", "windows"] = later(
        "lanes", description="a state that is carried along, or windows from the zero state"
    )
    lanes: PositiveInt = Field(default=64, description="walked side by side")
    tbptt_steps: PositiveInt = Field(default=50, description="points of a chunk of a lane")
    reset_probability: float = Field(default=0.05, ge=0, le=1, description="per lane and chunk")
    batch: PositiveInt = later(50, description="windows per update")
    stride: PositiveInt = later(1, description="points from window to window")
    epochs: int = Field(default=36, ge=0, description="0: the untrained network")
    epoch_steps: int = Field(default=25, ge=0, description="updates per epoch; 0: all rows once")
    kl_weight: float = later(1.0, ge=0, description="of the divergence of q from the prior")
    beta_epochs: int = Field(default=5, ge=0, description="the KL weight grows from 0 over these")

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.is_linear_skip and not self.is_standardised:
            raise ValueError("is_standardised = false needs is_linear_skip = false")
        if self.is_int8 and self.cell == "lstm":
            raise ValueError("is_int8 needs cell = gru: the memory of an LSTM has no bounds")
        return self


# Su et al., KDD 2019: sizes and training of the paper; early stopping and an update's validation of
# its released code
OMNIANOMALY: dict[str, object] = {
    "members": ("network",),
    "deciding": ("network",),
    "ranking": ("network",),
    "window_length": 100,
    "hidden": 500,
    "dense": 500,
    "latent": 3,
    "flows": 20,
    "is_linear_skip": False,
    "is_standardised": False,
    "scale_form": "softplus",
    "error": "deviance",
    "learning_rate": 1e-3,
    "optimiser": "adam",
    "anneal_factor": 0.5,
    "anneal_epochs": 40,
    "lesson": "windows",
    "batch": 50,
    "stride": 1,
    "epochs": 20,
    "epoch_steps": 0,
    "beta_epochs": 0,
    "validate_steps": 100,
    "validation_share": 0.3,
    "threads": 2,
}
