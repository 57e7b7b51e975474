"""What every training run may be told, whatever its model."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PositiveInt
from pydantic.functional_serializers import PlainSerializer
from pydantic.functional_validators import AfterValidator

Model = Literal[
    "blind_spot",
    "dagmm",
    "gru_vae",
    "linear",
    "lstm_vae",
    "mad_gan",
    "mtad_gat",
    "pca",
    "rvae",
    "slmr",
    "usad",
    "vae_lstm",
]
Preset = Literal["small", "base", "paper", "omnianomaly"]
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


def _filled(numbers: tuple[int, ...]) -> tuple[int, ...]:
    if not numbers:
        raise ValueError("expected at least one number, got none")
    return numbers


def _listed(numbers: tuple[int, ...]) -> str:
    return ",".join(map(str, numbers))


LISTED = (BeforeValidator(_split), AfterValidator(_unique), PlainSerializer(_joined))
NUMBERS = (BeforeValidator(_split), AfterValidator(_filled), PlainSerializer(_listed))


def later(default: object, *, description: str, **bounds: Any) -> Any:
    """A knob that came after the first bundles.

    A manifest tells of it only where it is not the default, so that their versions stay the same.
    """
    return Field(
        default=default,
        description=description,
        exclude_if=lambda value: value == default,
        **bounds,
    )


class Config(BaseModel):
    """One training run, as far as every model understands it."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    own: ClassVar[Member] = "network"  # the member that is the model itself

    model: Model = Field(description="kind of model")
    preset: Preset = Field(default="small", description="what its knobs were taken from")
    seed: int = Field(default=0, ge=0, description="of weights, noise and order")
    members: Annotated[tuple[Member, ...], *LISTED] = Field(
        default=("raw", "pca", "leave_one_out", "nearest", "network"),
        description="kinds of error that are exported",
    )
    deciding: Annotated[tuple[Member, ...], *LISTED] = Field(
        default=("raw", "pca", "leave_one_out"), description="members that make the score"
    )
    ranking: Annotated[tuple[Member, ...], *LISTED] = Field(
        default=("raw", "pca", "nearest", "network"), description="members that make the severity"
    )
    window_length: int = Field(default=8, ge=5, description="points; at least the 5 of the lags")
    pca_components: PositiveInt | None = Field(default=None, description="None: dimensions / 8")
    clusters: PositiveInt = Field(default=20, description="short windows the member nearest knows")
    threads: PositiveInt = Field(default=1, description="small matrices gain nothing from two")

    epochs: int = Field(default=0, ge=0, description="0: the untrained network")
    epoch_steps: PositiveInt = Field(default=25, description="updates per epoch")

    trim: float | None = Field(default=None, gt=0, lt=0.5, description="share of windows left out")

    # the split of every series, in time order: fit | validation | calibration
    calibration_share: float = Field(
        default=0.3, gt=0, lt=1, description="of the rows, the last ones"
    )
    validation_share: float = Field(default=0.1, gt=0, lt=1, description="of what comes before")

    def components(self, dimensions: int) -> int:
        """PCA components kept for so many dimensions."""
        wanted = self.pca_components or round(dimensions / 8)
        return min(max(wanted, 1), dimensions)


class NetworkConfig(Config):
    """What every network understands: the optimiser, and when to stop it."""

    hidden: PositiveInt = Field(description="units of a layer")
    learning_rate: float = Field(gt=0, description="of the first update")
    l2: float = Field(ge=0, description="weight decay")
    optimiser: Literal["adamw", "adam"] = later(
        "adamw", description="adam adds the weight decay to the gradient instead"
    )
    gradient_norm: float = Field(default=10.0, ge=0, description="the largest; 0: no limit")
    anneal_factor: float | None = later(
        None, gt=0, le=1, description="of the learning rate, in steps; None: a cosine to 2 %"
    )
    anneal_epochs: PositiveInt = later(40, description="between two steps of anneal_factor")
    patience: int = Field(default=10, ge=0, description="epochs without a better loss; 0: no limit")
    min_change: float = later(
        0.0, ge=0, description="of the validation loss; by less it is not better for patience"
    )
    validate_steps: int = later(
        0, ge=0, description="updates between validations besides those of every epoch; 0: none"
    )
