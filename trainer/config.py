"""What a training run may be told: the presets and every knob of the GRU-VAE."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt

Preset = Literal["small", "base", "paper"]


class Config(BaseModel):
    """One training run; the shipped defaults are the preset `small`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: Literal["gru_vae"] = "gru_vae"
    preset: Preset = "small"
    seed: int = Field(default=0, ge=0)

    # the graph
    window_length: int = Field(default=50, ge=8, description="points; at least the 5 of the lags")
    hidden: PositiveInt = 48
    dense: PositiveInt = 48
    latent: PositiveInt = 8
    flows: PositiveInt = 4
    dense_activation: Literal["none", "relu"] = "none"
    is_linear_skip: bool = True
    pca_components: PositiveInt | None = Field(default=None, description="None: dimensions / 8")

    # the optimiser
    learning_rate: float = Field(default=4e-3, gt=0)
    l2: float = Field(default=1e-4, ge=0)
    gradient_norm: float = Field(default=10.0, gt=0)
    lanes: PositiveInt = 64
    tbptt_steps: PositiveInt = 50
    reset_probability: float = Field(default=0.05, ge=0, le=1, description="per lane and chunk")
    epochs: int = Field(default=36, ge=0, description="0: the untrained network")
    epoch_steps: PositiveInt = Field(default=25, description="updates per epoch")
    patience: PositiveInt = Field(default=10, description="epochs without a better validation loss")
    beta_epochs: int = Field(default=5, ge=0, description="the KL weight grows 0 -> 1 over these")
    threads: PositiveInt = Field(default=1, description="small matrices gain nothing from two")

    # the split of every series, in time order: fit | validation | calibration
    calibration_share: float = Field(default=0.3, gt=0, lt=1)
    validation_share: float = Field(default=0.1, gt=0, lt=1, description="of what comes before")

    def components(self, dimensions: int) -> int:
        """PCA components kept for so many dimensions."""
        wanted = self.pca_components or round(dimensions / 8)
        return min(max(wanted, 1), dimensions)


_PRESETS: dict[Preset, dict[str, object]] = {
    "small": {},
    "base": {
        "window_length": 100,
        "hidden": 128,
        "dense": 128,
        "flows": 10,
        "learning_rate": 2e-3,
        "epochs": 120,
        "patience": 20,
        "threads": 2,
    },
    # the sizes of Su et al., KDD 2019
    "paper": {
        "window_length": 100,
        "hidden": 500,
        "dense": 500,
        "latent": 3,
        "flows": 20,
        "learning_rate": 1e-3,
        "epochs": 60,
        "tbptt_steps": 100,
        "threads": 2,
    },
}


def preset(name: Preset, **changes: object) -> Config:
    """The named preset, with some of its knobs changed."""
    return Config.model_validate({**_PRESETS[name], "preset": name, **changes})
