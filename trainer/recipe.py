"""One configuration, three ways in: flags, a TOML file, the manifest of a bundle.

Flags win over the file, the file over the bundle, and all of them over the preset. Keys are the
names of the knobs, and `model` and `preset` besides.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from types import NoneType
from typing import get_args

from service.errors import SettingInvalid
from service.scoring.bundle import Bundle
from trainer.config import CONFIGS, Config, Model, Preset, preset, valid

DEFAULT_MODEL: Model = "blind_spot"
DEFAULT_PRESET: Preset = "small"


@dataclass(frozen=True)
class Source:
    """Knobs from one place."""

    knobs: Mapping[str, object]
    name: str = "an option"
    lines: Mapping[str, int] = field(default_factory=dict)  # of the file, where it is one

    def place(self, key: str) -> str:
        """Where a key stands."""
        return f"{self.name}, line {self.lines[key]}" if key in self.lines else self.name


def of_file(path: Path) -> Source:
    """The knobs of a TOML file; raises SettingInvalid where it is none."""
    try:
        text = path.read_text("utf-8")
        knobs = tomllib.loads(text)
    except OSError as error:
        raise SettingInvalid(f"cannot read {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingInvalid(f"{path} is not TOML: {error}") from None
    source = Source(knobs, str(path), _lines(text, knobs))
    tables = [key for key, value in knobs.items() if isinstance(value, dict)]
    if tables:
        place = source.place(tables[0])
        raise SettingInvalid(f"{place}: expected knob = value, got the table {tables[0]!r}")
    return source


def of_bundle(bundle: Bundle) -> Source:
    """The knobs a bundle was trained with; raises SettingInvalid where it does not tell them."""
    told = bundle.manifest.training
    if told.get("model") not in CONFIGS:
        raise SettingInvalid(f"the manifest of {bundle.title} does not tell how it was trained")
    known = CONFIGS[str(told["model"])].model_fields
    return Source({key: told[key] for key in known if key in told}, bundle.title)


def of_pairs(pairs: Sequence[str]) -> dict[str, object]:
    """The knobs of `key=value`, each text as it came."""
    knobs: dict[str, object] = {}
    for pair in pairs:
        key, equals, value = (part.strip() for part in pair.partition("="))
        if not (key and equals):
            raise SettingInvalid(f"expected key=value, got {pair!r}")
        if key in knobs:
            raise SettingInvalid(f"{key} was given twice")
        knobs[key] = value
    return knobs


def together(named: Mapping[str, object], pairs: Mapping[str, object]) -> Source:
    """All flags; raises SettingInvalid where one says what another says, too."""
    given = {key: value for key, value in named.items() if value is not None}
    if twice := sorted(given.keys() & pairs.keys()):
        raise SettingInvalid(f"{twice[0]} was given twice")
    return Source({**given, **pairs})


def configured(flags: Source, *, file: Source | None = None, like: Source | None = None) -> Config:
    """The configuration of up to three sources; raises SettingInvalid, which names the key."""
    winning = [source for source in (flags, file, like) if source is not None]
    model = _model(winning)
    if like is not None and like.knobs["model"] != model:
        raise SettingInvalid(f"{like.name} is a {like.knobs['model']}, and {model} is asked for")
    for source in winning:
        _expect_known(source, model)
    given = {key: value for one in reversed(winning) for key, value in one.knobs.items()}
    knobs = {key: _chosen(value, model, key) for key, value in given.items()}
    if like is None:
        name = _preset(knobs.get("preset", DEFAULT_PRESET))
        knobs = {**preset(name, model=model).model_dump(), **knobs}
    elif any("preset" in source.knobs for source in winning[:-1]):
        raise SettingInvalid(f"expected a preset or the knobs of {like.name}, got both")

    def where(key: str) -> str:
        source = next((one for one in winning if key in one.knobs), flags)
        return f"{key} ({source.place(key)})" if key in source.lines else key

    return valid({**knobs, "model": model}, where=where)


def _model(winning: Sequence[Source]) -> Model:
    """The model that is asked for first."""
    source = next((one for one in winning if "model" in one.knobs), None)
    if source is None:
        return DEFAULT_MODEL
    for known in get_args(Model):
        if known == source.knobs["model"]:
            return known  # type: ignore[no-any-return]
    wanted = str(source.knobs["model"])
    near = _near(wanted, get_args(Model))
    raise SettingInvalid(f"{source.place('model')}: there is no model {wanted!r}; {near}")


def _preset(wanted: object) -> Preset:
    for known in get_args(Preset):
        if known == wanted:
            return known  # type: ignore[no-any-return]
    raise SettingInvalid(f"there is no preset {wanted!r}; {_near(str(wanted), get_args(Preset))}")


def _expect_known(source: Source, model: Model) -> None:
    known = list(CONFIGS[model].model_fields)
    for key in source.knobs:
        if key not in known:
            near = _near(key, known)
            raise SettingInvalid(f"{source.place(key)}: {model} has no knob {key!r}; {near}")


def _chosen(value: object, model: Model, key: str) -> object:
    """What a text stands for, where pydantic would not know: `none`, and what is in a Literal."""
    for choice in get_args(CONFIGS[model].model_fields[key].annotation):
        if choice is NoneType and value == "none":
            return None
        if isinstance(choice, int) and value == str(choice).lower():
            return choice
    return value


def _near(key: str, known: Sequence[str]) -> str:
    """What may have been meant."""
    close = get_close_matches(key, known)
    return f"near it: {', '.join(close)}" if close else f"known are {', '.join(known)}"


def _lines(text: str, knobs: Mapping[str, object]) -> dict[str, int]:
    """The line that each key stands in, counted from 1."""
    found: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        match = re.match(r"""\s*\[*\s*["']?([^\s"'=\]]+)""", line)
        if match and match[1] in knobs:
            found.setdefault(match[1], number)
    return found
