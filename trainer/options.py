"""What a model can be told: every knob with its default, what is allowed, and its meaning."""

from collections.abc import Mapping
from typing import NamedTuple

from trainer.config import CONFIGS, Model, Preset, preset

BOUNDS = {
    "minimum": ">=",
    "exclusiveMinimum": ">",
    "maximum": "<=",
    "exclusiveMaximum": "<",
}
TYPES = {"integer": "whole number", "number": "number", "string": "text"}


class Option(NamedTuple):
    """One knob, in words."""

    name: str
    default: str
    allowed: str
    meaning: str


def options_of(model: Model, name: Preset = "small") -> list[Option]:
    """Every knob of a model, with the defaults of a preset."""
    kind, defaults = CONFIGS[model], preset(name, model=model)
    schema = kind.model_json_schema()["properties"]
    return [
        Option(knob, _text(getattr(defaults, knob)), allowed(schema[knob]), meaning(model, knob))
        for knob in kind.model_fields
    ]


def meaning(model: Model, knob: str) -> str:
    """The description nearest to the model: its own, or of what it is derived from."""
    for kind in CONFIGS[model].__mro__:
        field = getattr(kind, "model_fields", {}).get(knob)
        if field is not None and field.description:
            return str(field.description)
    return ""


def allowed(schema: Mapping[str, object]) -> str:
    """The values that a part of a JSON schema allows."""
    match schema:
        case {"anyOf": list(kinds)}:
            return " or ".join(allowed(kind) for kind in kinds)
        case {"const": value}:
            return _text(value)
        case {"enum": list(values)}:
            return " | ".join(map(_text, values))
        case {"type": "null"}:
            return "none"
        case {"type": "boolean"}:
            return "true | false"
        case {"type": "array", "items": dict(items)}:
            return f"list of {allowed(items)}"
    bounds = [f"{sign} {schema[name]:g}" for name, sign in BOUNDS.items() if name in schema]
    return ", ".join([TYPES[str(schema["type"])], *bounds])


def _text(value: object) -> str:
    """As it is written in a file or behind `--set`."""
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)
