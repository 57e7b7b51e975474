"""What every training run may be told, whatever its model."""

from typing import Annotated, Literal

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
    "rvae",
    "slmr",
    "usad",
    "vae_lstm",
]
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


def _filled(numbers: tuple[int, ...]) -> tuple[int, ...]:
    if not numbers:
        raise ValueError("expected at least one number, got none")
    return numbers


def _listed(numbers: tuple[int, ...]) -> str:
    return ",".join(map(str, numbers))


LISTED = (BeforeValidator(_split), AfterValidator(_unique), PlainSerializer(_joined))
NUMBERS = (BeforeValidator(_split), AfterValidator(_filled), PlainSerializer(_listed))


class Config(BaseModel):
    """One training run, as far as every model understands it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: Model
    preset: Preset = "small"
    seed: int = Field(default=0, ge=0)
    members: Annotated[tuple[Member, ...], *LISTED] = (
        "raw",
        "pca",
        "leave_one_out",
        "nearest",
        "network",
    )
    deciding: Annotated[tuple[Member, ...], *LISTED] = ("raw", "pca", "leave_one_out")
    ranking: Annotated[tuple[Member, ...], *LISTED] = ("raw", "pca", "nearest", "network")
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


class NetworkConfig(Config):
    """What every network understands: the optimiser, and when to stop it."""

    hidden: PositiveInt
    learning_rate: float = Field(gt=0)
    l2: float = Field(ge=0)
    gradient_norm: float = Field(default=10.0, gt=0)
    patience: PositiveInt = Field(default=10, description="epochs without a better validation loss")
