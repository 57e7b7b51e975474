"""What a training run may be told: the knobs of each model, and their presets."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PositiveInt, ValidationError
from pydantic.functional_serializers import PlainSerializer
from pydantic.functional_validators import AfterValidator

from service.errors import SettingInvalid

Model = Literal["blind_spot", "gru_vae", "linear"]
Preset = Literal["small", "base", "paper"]
ClosedForm = Literal["raw", "pca", "leave_one_out", "nearest"]
Member = ClosedForm | Literal["network"]


def _split(members: object) -> object:
    """A manifest holds members as one text, separated by commas."""
    return tuple(members.split(",")) if isinstance(members, str) else members


def _joined(members: tuple[str, ...]) -> str:
    return ",".join(members)


def _unique(members: tuple[str, ...]) -> tuple[str, ...]:
    if not members or len(set(members)) < len(members):
        raise ValueError(f"expected at least one member and each only once, got {list(members)}")
    return members


_LISTED = (BeforeValidator(_split), AfterValidator(_unique), PlainSerializer(_joined))


class Config(BaseModel):
    """One training run, as far as every model understands it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: Model
    preset: Preset = "small"
    seed: int = Field(default=0, ge=0)
    members: Annotated[tuple[Member, ...], *_LISTED] = (
        "raw",
        "pca",
        "leave_one_out",
        "nearest",
        "network",
    )
    deciding: Annotated[tuple[Member, ...], *_LISTED] = ("raw", "pca", "leave_one_out")
    ranking: Annotated[tuple[Member, ...], *_LISTED] = ("raw", "pca", "nearest", "network")
    window_length: int = Field(default=8, ge=5, description="points; at least the 5 of the lags")
    pca_components: PositiveInt | None = Field(default=None, description="None: dimensions / 8")
    clusters: PositiveInt = Field(default=20, description="short windows the member nearest knows")
    threads: PositiveInt = Field(default=1, description="small matrices gain nothing from two")

    epochs: int = Field(default=0, ge=0, description="0: the untrained network")
    epoch_steps: PositiveInt = Field(default=25, description="updates per epoch")

    # the split of every series, in time order: fit | validation | calibration
    calibration_share: float = Field(default=0.3, gt=0, lt=1)
    validation_share: float = Field(default=0.1, gt=0, lt=1, description="of what comes before")

    def components(self, dimensions: int) -> int:
        """PCA components kept for so many dimensions."""
        wanted = self.pca_components or round(dimensions / 8)
        return min(max(wanted, 1), dimensions)


class LinearConfig(Config):
    """No network: leave-one-out is all there is, and nothing to train."""

    model: Literal["linear"] = "linear"
    members: Annotated[tuple[ClosedForm, ...], *_LISTED] = (
        "raw",
        "pca",
        "leave_one_out",
        "nearest",
    )
    ranking: Annotated[tuple[ClosedForm, ...], *_LISTED] = (
        "raw",
        "pca",
        "nearest",
        "leave_one_out",
    )
    epochs: Literal[0] = 0


class NetworkConfig(Config):
    """What every network understands: the optimiser, and when to stop it."""

    hidden: PositiveInt
    learning_rate: float = Field(gt=0)
    l2: float = Field(ge=0)
    gradient_norm: float = Field(default=10.0, gt=0)
    patience: PositiveInt = Field(default=10, description="epochs without a better validation loss")


class BlindSpotConfig(NetworkConfig):
    """Every dimension from all others; the defaults are the preset `small`."""

    model: Literal["blind_spot"] = "blind_spot"
    hidden: PositiveInt = 32
    depth: PositiveInt = Field(default=1, description="layers that all dimensions share")
    scale_low: float = Field(default=0.3, gt=0, description="of the scale relative to the linear")
    scale_high: float = Field(default=2.0, gt=1)

    learning_rate: float = Field(default=1e-2, gt=0)
    l2: float = Field(default=1e-3, ge=0)
    gradient_norm: float = Field(default=5.0, gt=0)
    batch: PositiveInt = Field(default=256, description="windows per update")
    input_dropout: float = Field(default=0.0, ge=0, lt=1, description="share of hidden dimensions")
    epochs: int = Field(default=30, ge=0, description="0: the untrained network")
    epoch_steps: PositiveInt = Field(default=100, description="updates per epoch")
    patience: PositiveInt = Field(default=15, description="epochs without a better validation loss")


class GruVaeConfig(NetworkConfig):
    """The GRU-VAE; the defaults are the preset `small`."""

    model: Literal["gru_vae"] = "gru_vae"
    window_length: int = Field(default=50, ge=8, description="points")
    hidden: PositiveInt = 48
    dense: PositiveInt = 48
    latent: PositiveInt = 8
    flows: PositiveInt = 4
    dense_activation: Literal["none", "relu"] = "none"
    is_linear_skip: bool = True

    learning_rate: float = Field(default=4e-3, gt=0)
    l2: float = Field(default=1e-4, ge=0)
    lanes: PositiveInt = 64
    tbptt_steps: PositiveInt = 50
    reset_probability: float = Field(default=0.05, ge=0, le=1, description="per lane and chunk")
    epochs: int = Field(default=36, ge=0, description="0: the untrained network")
    beta_epochs: int = Field(default=5, ge=0, description="the KL weight grows 0 -> 1 over these")


CONFIGS: dict[str, type[Config]] = {
    "blind_spot": BlindSpotConfig,
    "gru_vae": GruVaeConfig,
    "linear": LinearConfig,
}
_PRESETS: dict[tuple[str, Preset], dict[str, object]] = {
    ("linear", "small"): {},
    ("blind_spot", "small"): {},
    ("blind_spot", "base"): {"hidden": 128, "depth": 2, "epochs": 60, "threads": 2},
    ("gru_vae", "small"): {},
    ("gru_vae", "base"): {
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
    ("gru_vae", "paper"): {
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


def preset(name: Preset, *, model: Model = "blind_spot", **changes: object) -> Config:
    """The named preset of a model, with some of its knobs changed.

    Raises SettingInvalid for a preset, a knob or a value that the model does not have.
    """
    if (model, name) not in _PRESETS:
        known = [preset for owner, preset in _PRESETS if owner == model]
        raise SettingInvalid(f"expected a preset of {model} ({', '.join(known)}), got {name!r}")
    try:
        return CONFIGS[model].model_validate({**_PRESETS[model, name], "preset": name, **changes})
    except ValidationError as error:
        problems = [f"{problem['loc'][0]}: {problem['msg']}" for problem in error.errors()]
        raise SettingInvalid(f"{model} cannot have {'; '.join(problems)}") from None


def restored(known: Mapping[str, object]) -> Config:
    """The configuration a manifest tells of; what it tells beside is left out."""
    kind = CONFIGS[str(known["model"])]
    return kind.model_validate({key: known[key] for key in kind.model_fields if key in known})
