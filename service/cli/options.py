"""What options may be: checked before a command begins its work."""

import math
from pathlib import Path

import typer

from service.errors import BadInput


def positive(option: typer.CallbackParam, number: float | None) -> float | None:
    """A finite number more than 0, or none. Raises BadInput."""
    if number is None or (math.isfinite(number) and number > 0):
        return number
    raise BadInput(f"expected {option.opts[0]} to be finite and more than 0, came {number:g}")


def in_a_folder(option: typer.CallbackParam, file: Path | None) -> Path | None:
    """A file that can be written where it is, as far as its folder goes. Raises BadInput."""
    if file is None or file.parent.is_dir():
        return file
    raise BadInput(f"expected {option.opts[0]} in a folder that exists, came {file}")
