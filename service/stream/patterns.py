"""Patterns: shell patterns of entity names, compiled once, and answers that are remembered."""

import re
from collections.abc import Callable
from fnmatch import translate
from functools import lru_cache
from typing import Final, TypeVar

MAX_REMEMBERED: Final = 200_000  # entities

Answer = TypeVar("Answer")


def matcher(pattern: str) -> Callable[[str], object]:
    """Whether names match, as `fnmatchcase` says it; None: not."""
    return re.compile(translate(pattern)).match


def remembering(
    answer: Callable[[str], Answer], *, at_most: int = MAX_REMEMBERED
) -> Callable[[str], Answer]:
    """The same answers about entities; of the last ones asked for, without asking again."""
    return lru_cache(at_most)(answer)
