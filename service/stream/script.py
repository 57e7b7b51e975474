"""Scripts: sent by their digest, and in full to a server that does not know them."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from redis import Redis
from redis.exceptions import NoScriptError

_FOLDER: Final = Path(__file__).parent


class Script:
    """One of the Lua files beside this one."""

    def __init__(self, name: str) -> None:
        self._text = (_FOLDER / name).read_text()
        self._digest = hashlib.sha1(self._text.encode()).hexdigest()  # as Redis names it

    def run(self, redis: Redis, keys: Sequence[str | bytes], args: Sequence[Any]) -> Any:
        """What it answers."""
        words = (len(keys), *keys, *args)
        try:
            return redis.evalsha(self._digest, *words)
        except NoScriptError:
            return redis.eval(self._text, *words)
