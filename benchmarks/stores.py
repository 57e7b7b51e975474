"""Redis under a benchmark: one server in one of three persistence modes, gone when it is done."""

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from redis import Redis

from service.stream.embedded import EmbeddedValkey, valkey_binary
from service.stream.store import StoreOptions

Persistence = Literal["none", "everysec", "always"]
PATIENT = StoreOptions(command_timeout_seconds=30.0, budget_seconds=60.0)  # a slow disk is a figure
PERSISTENCE: tuple[Persistence, ...] = ("none", "everysec", "always")


@dataclass(frozen=True)
class RunningStore:
    """A server that answers."""

    url: str
    pid: int


@contextlib.contextmanager
def redis_server(folder: Path, persistence: Persistence) -> Iterator[RunningStore]:
    """A server with its data in a folder; `none` keeps nothing on the disk."""
    durability: Literal["everysec", "always"] = "always" if persistence == "always" else "everysec"
    with EmbeddedValkey(folder, binary=store_binary(), durability=durability) as store:
        assert store.pid is not None
        if persistence == "none":
            with Redis.from_url(store.url) as client:
                client.config_set("appendonly", "no")
        yield RunningStore(store.url, store.pid)


def store_binary() -> Path:
    """The machine's redis-server, else the embedded Valkey."""
    found = shutil.which("redis-server")
    return Path(found) if found else valkey_binary()


def store_version() -> str:
    """What the server calls itself."""
    said = subprocess.run([store_binary(), "--version"], capture_output=True, text=True, check=True)
    return " ".join(said.stdout.split()[:3])
