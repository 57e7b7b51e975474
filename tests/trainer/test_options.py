import pytest

from trainer.config import CONFIGS, preset
from trainer.options import allowed, options_of
from trainer.recipe import Source, configured


@pytest.mark.parametrize("model", CONFIGS)
def test_every_knob_of_every_model_has_a_meaning_and_a_range(model: str) -> None:
    options = options_of(model)  # type: ignore[arg-type]
    assert [option.name for option in options] == list(CONFIGS[model].model_fields)
    assert [option.name for option in options if not (option.meaning and option.allowed)] == []


@pytest.mark.parametrize("model", CONFIGS)
def test_every_default_may_be_given_as_it_is_shown(model: str) -> None:
    shown = {option.name: option.default for option in options_of(model)}  # type: ignore[arg-type]
    assert configured(Source(shown)) == preset("small", model=model)  # type: ignore[arg-type]


def test_defaults_are_those_of_the_preset() -> None:
    shown = {option.name: option.default for option in options_of("gru_vae", "omnianomaly")}
    assert (shown["hidden"], shown["members"], shown["is_linear_skip"]) == (
        "500",
        "network",
        "false",
    )


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"type": "integer", "minimum": 0}, "whole number, >= 0"),
        ({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}, "number, > 0, < 1"),
        ({"anyOf": [{"type": "boolean"}, {"type": "null"}]}, "true | false or none"),
        ({"type": "array", "items": {"enum": ["raw", "pca"]}}, "list of raw | pca"),
        ({"const": 0}, "0"),
        ({"type": "string"}, "text"),
    ],
)
def test_what_is_allowed_is_said_in_words(schema: dict[str, object], text: str) -> None:
    assert allowed(schema) == text
