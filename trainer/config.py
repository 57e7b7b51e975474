"""The knobs of each model, and their presets."""

from collections.abc import Callable, Mapping
from typing import Annotated, Literal

from pydantic import Field, PositiveInt, ValidationError

from service.errors import SettingInvalid
from trainer.configs_window import WINDOW_CONFIGS
from trainer.gru_vae_knobs import OMNIANOMALY, GruVaeConfig
from trainer.knobs import (
    LISTED,
    ClosedForm,
    Config,
    Member,
    Model,
    NetworkConfig,
    Preset,
)
from trainer.pca_knobs import PcaConfig
from trainer.presets_window import WINDOW_PRESETS
from trainer.slmr_knobs import SLMR_PRESETS, MaskMode, SlmrConfig

__all__ = [
    "CONFIGS",
    "BlindSpotConfig",
    "Config",
    "GruVaeConfig",
    "LinearConfig",
    "MaskMode",
    "Member",
    "Model",
    "NetworkConfig",
    "PcaConfig",
    "Preset",
    "SlmrConfig",
    "preset",
    "restored",
    "valid",
]


class LinearConfig(Config):
    """No network: leave-one-out is all there is, and nothing to train."""

    model: Literal["linear"] = "linear"
    members: Annotated[tuple[ClosedForm, ...], *LISTED] = (
        "raw",
        "pca",
        "leave_one_out",
        "nearest",
    )
    ranking: Annotated[tuple[ClosedForm, ...], *LISTED] = (
        "raw",
        "pca",
        "nearest",
        "leave_one_out",
    )
    epochs: Literal[0] = 0


class BlindSpotConfig(NetworkConfig):
    """Every dimension from all others; the defaults are the preset `small`."""

    model: Literal["blind_spot"] = "blind_spot"
    hidden: PositiveInt = 32
    depth: PositiveInt = Field(default=1, description="layers that all dimensions share")
    scale_low: float = Field(default=0.3, gt=0, lt=1, description="of the scale by the linear")
    scale_high: float = Field(default=2.0, gt=1, description="of it, too")

    learning_rate: float = Field(default=1e-2, gt=0)
    l2: float = Field(default=1e-3, ge=0)
    gradient_norm: float = Field(default=5.0, ge=0)
    batch: PositiveInt = Field(default=256, description="windows per update")
    input_dropout: float = Field(default=0.0, ge=0, lt=1, description="share of hidden dimensions")
    epochs: int = Field(default=30, ge=0, description="0: the untrained network")
    epoch_steps: PositiveInt = Field(default=100, description="updates per epoch")
    patience: int = Field(default=15, ge=0, description="epochs without a better loss; 0: no limit")


CONFIGS: dict[str, type[Config]] = {
    "blind_spot": BlindSpotConfig,
    "gru_vae": GruVaeConfig,
    "linear": LinearConfig,
    "pca": PcaConfig,
    "slmr": SlmrConfig,
    **WINDOW_CONFIGS,
}
_PRESETS: dict[tuple[Model, Preset], dict[str, object]] = {
    **WINDOW_PRESETS,
    ("linear", "small"): {},
    ("pca", "small"): {},
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
        "epoch_steps": 100,
        "lanes": 32,  # short chunks learn most per second, docs/benchmarks.md
        "tbptt_steps": 25,
        "threads": 2,
    },
    ("gru_vae", "omnianomaly"): OMNIANOMALY,
    ("slmr", "small"): SLMR_PRESETS["small"],
    ("slmr", "base"): SLMR_PRESETS["base"],
    ("slmr", "paper"): SLMR_PRESETS["paper"],
}


def preset(name: Preset, *, model: Model = "blind_spot", **changes: object) -> Config:
    """The named preset of a model, with some of its knobs changed.

    Raises SettingInvalid for a preset, a knob or a value that the model does not have.
    """
    if (model, name) not in _PRESETS:
        known = [preset for owner, preset in _PRESETS if owner == model]
        raise SettingInvalid(f"expected a preset of {model} ({', '.join(known)}), got {name!r}")
    return valid({**_PRESETS[model, name], "model": model, "preset": name, **changes})


def valid(known: Mapping[str, object], *, where: Callable[[str], str] = str) -> Config:
    """The configuration of `known["model"]` with these knobs; raises SettingInvalid.

    `where` makes of a knob's name what a message calls it.
    """
    model = str(known["model"])
    try:
        return CONFIGS[model].model_validate(known)
    except ValidationError as error:
        problems = [
            ": ".join([*(where(str(name)) for name in problem["loc"][:1]), problem["msg"]])
            for problem in error.errors()
        ]
        raise SettingInvalid(f"{model} cannot have {'; '.join(problems)}") from None


def restored(known: Mapping[str, object], *, where: Callable[[str], str] = str) -> Config:
    """The configuration a manifest tells of, without what it tells beside; raises SettingInvalid.

    `where` makes of a knob's name what a message calls it.
    """
    fields = CONFIGS[str(known["model"])].model_fields
    return valid({key: known[key] for key in fields if key in known}, where=where)
