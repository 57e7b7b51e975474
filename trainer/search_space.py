"""What a search may choose from: ranges and choices of knobs, given or taken from the defaults.

16..128        whole numbers where the knob is one, else any number between
16..128:log    equally likely in each octave
gru,lstm       one of these
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from service.errors import SettingInvalid
from trainer.config import CONFIGS, Config, Model
from trainer.recipe import of_pairs

RANGE = re.compile(r"^([-+.\deE]+?)\.\.([-+.\deE]+?)(:log)?$")

# a default is searched from itself divided by this to itself times this
FACTORS: Mapping[str, float] = {
    "hidden": 4.0,
    "dense": 4.0,
    "latent": 4.0,
    "lstm_hidden": 4.0,
    "embed": 4.0,
    "batch": 4.0,
    "learning_rate": 10.0,
    "l2": 10.0,
    "clusters": 4.0,
}
BOUNDED: Mapping[Model, Mapping[str, str]] = {  # besides, or instead
    "blind_spot": {"depth": "1..3", "input_dropout": "0..0.3"},
    "gru_vae": {"flows": "1..10"},
    "linear": {"pca_components": "1..10"},
    "pca": {"window_length": "1..10", "variance": "0.5..0.99"},
    "slmr": {"mask_ratio": "0..0.4"},
}

# knobs that leave the held-out loss what it is: sizes, and how weights are found. All others may
# change what it is measured in, what it is taken over, or how many updates lie before it
SAME_LOSS = frozenset(
    {"seed", "threads", "members", "deciding", "ranking", "clusters"}
    | {"hidden", "dense", "latent", "lstm_hidden", "embed", "depth", "layers", "memory_layers"}
    | {"flows", "flow_type", "cell", "conv_groups", "group_channels", "dilations", "squeeze"}
    | {"forecast_hidden", "forecast_layers", "decoder_hidden", "decoder_layers"}
    | {"dropout", "input_dropout", "mask_mode", "mask_ratio", "mask_length"}
    | {"batch", "lanes", "tbptt_steps", "reset_probability", "optimiser", "learning_rate", "l2"}
    | {"gradient_norm", "anneal_factor", "anneal_epochs", "patience", "min_change"}
)
OTHER_LOSS: Mapping[Model, frozenset[str]] = {"rvae": frozenset({"latent"})}  # KL is their mean


@dataclass(frozen=True)
class Between:
    """Numbers from low to high."""

    low: float
    high: float
    is_log: bool = False
    is_whole: bool = False


@dataclass(frozen=True)
class OneOf:
    """Some values, as text where a text stands for them."""

    choices: tuple[str | float | bool, ...]


Space = dict[str, Between | OneOf]


def usual_space(config: Config) -> Space:
    """Around the knobs of a configuration, within what its model allows."""
    fields = type(config).model_fields
    space: Space = {}
    for knob, factor in FACTORS.items():
        default = getattr(config, knob, None)
        if knob in fields and isinstance(default, int | float) and default > 0:
            low, high = _within(config.model, knob, default / factor, default * factor)
            is_whole = isinstance(default, int)
            if step := _bounds(config.model, knob).get("multiple_of"):
                space[knob] = OneOf(_multiples(low, high, int(step)))
                continue
            space[knob] = Between(round(low) if is_whole else low, high, True, is_whole)
    own = BOUNDED.get(config.model, {})
    return space | {knob: _parsed(config.model, knob, text) for knob, text in own.items()}


def incomparable(space: Space, model: Model) -> list[str]:
    """The knobs between whose values held-out losses cannot be compared."""
    same = SAME_LOSS - OTHER_LOSS.get(model, frozenset())
    return [knob for knob in space if knob not in same]


def space_of_pairs(pairs: Sequence[str], model: Model) -> Space:
    """Of `knob=16..128:log`; raises SettingInvalid."""
    return _space(of_pairs(pairs), model)


def space_of_file(path: Path, model: Model) -> Space:
    """Of a TOML file: knob = "16..128:log", or a list of choices; raises SettingInvalid."""
    try:
        return _space(tomllib.loads(path.read_text("utf-8")), model)
    except OSError as problem:
        raise SettingInvalid(f"cannot read {path}: {problem.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise SettingInvalid(f"{path} is not TOML: {problem}") from None


def _space(given: Mapping[str, object], model: Model) -> Space:
    known = CONFIGS[model].model_fields
    if unknown := sorted(set(given) - set(known)):
        raise SettingInvalid(f"{model} has no knob {unknown[0]!r}; known are {', '.join(known)}")
    return {knob: _parsed(model, knob, value) for knob, value in given.items()}


def _parsed(model: Model, knob: str, value: object) -> Between | OneOf:
    if isinstance(value, list):
        return OneOf(tuple(value))
    text = str(value)
    if match := RANGE.match(text):
        return _between(model, knob, match)
    choices = tuple(choice.strip() for choice in text.split(","))
    if len(choices) < 2:
        raise SettingInvalid(f"{knob}: expected low..high, low..high:log or a,b,c, got {text!r}")
    return OneOf(choices)


def _between(model: Model, knob: str, match: re.Match[str]) -> Between:
    try:
        low, high = float(match[1]), float(match[2])
    except ValueError:
        raise SettingInvalid(f"{knob}: expected two numbers, got {match[0]!r}") from None
    if not low < high or (match[3] and low <= 0):
        raise SettingInvalid(f"{knob}: expected low < high, and 0 < low of a log, got {match[0]!r}")
    if (low, high) != _within(model, knob, low, high):
        raise SettingInvalid(f"{knob}: {match[0]} is not within what {model} allows")
    is_whole = "integer" in str(_schema(model, knob))
    return Between(low, high, bool(match[3]), is_whole)


def _within(model: Model, knob: str, low: float, high: float) -> tuple[float, float]:
    """As much of a range as the field of the knob allows."""
    bounds = _bounds(model, knob)
    if "integer" in str(_schema(model, knob)):
        low = max(low, 0.0 if bounds.get("ge") == 0 else 1.0)
    return max(low, bounds.get("ge", low)), min(high, bounds.get("le", high))


def _bounds(model: Model, knob: str) -> dict[str, float]:
    """What the field of a knob asks of a number."""
    keys, found = ("ge", "le", "multiple_of"), dict[str, float]()
    for metadata in CONFIGS[model].model_fields[knob].metadata:
        found |= {key: getattr(metadata, key) for key in keys if hasattr(metadata, key)}
    return found


def _multiples(low: float, high: float, step: int) -> tuple[int, ...]:
    """The least multiple of a range, and each twice the one before."""
    found, value = [], step * max(1, -(-int(low) // step))
    while value <= high:
        found.append(value)
        value *= 2
    return tuple(found)


def _schema(model: Model, knob: str) -> object:
    return CONFIGS[model].model_json_schema()["properties"][knob]
