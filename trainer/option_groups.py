"""Options in groups: a dataclass among the parameters of a command is an option per field."""

from collections.abc import Callable, Iterator
from dataclasses import MISSING, fields, is_dataclass
from inspect import Parameter, signature
from typing import Any, get_type_hints


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """The command as Typer reads it, every option a parameter of its own."""
    own = signature(command, eval_str=True)
    groups = {name: one.annotation for name, one in own.parameters.items() if _is_group(one)}
    options = [option for one in own.parameters.values() for option in _options(one)]

    def flat(**given: object) -> None:
        made = {
            name: kind(**{field.name: given.pop(field.name) for field in fields(kind)})
            for name, kind in groups.items()
        }
        command(**made, **given)

    flat.__doc__, flat.__name__ = command.__doc__, command.__name__
    flat.__annotations__ = {option.name: option.annotation for option in options}
    flat.__signature__ = own.replace(parameters=options)  # type: ignore[attr-defined]
    return flat


def _is_group(parameter: Parameter) -> bool:
    return isinstance(parameter.annotation, type) and is_dataclass(parameter.annotation)


def _options(parameter: Parameter) -> Iterator[Parameter]:
    """The parameter itself, or one for every field of a group."""
    if not _is_group(parameter):
        yield parameter.replace(kind=Parameter.KEYWORD_ONLY)
        return
    kind: Any = parameter.annotation
    hints = get_type_hints(kind, include_extras=True)
    for field in fields(kind):
        default = Parameter.empty if field.default is MISSING else field.default
        yield Parameter(
            field.name, Parameter.KEYWORD_ONLY, default=default, annotation=hints[field.name]
        )
