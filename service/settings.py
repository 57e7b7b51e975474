"""The settings: one frozen object, read once from `GAUGEWATCH_` variables and passed down."""

import difflib
import ipaddress
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from service.errors import SettingInvalid

PREFIX: Final = "GAUGEWATCH_"
NOT_SETTINGS: Final = frozenset({"GAUGEWATCH_DATA"})  # where tests find data sets
BUNDLES: Final = Path("exported_models")
KEY_FORM: Final = re.compile(r"[A-Za-z0-9._~-]{16,200}")  # fits a header and a subprotocol


def _bundles() -> Path:
    """In the current folder, else beside the code, where a clone keeps them."""
    beside = Path(__file__).resolve().parent.parent / BUNDLES
    return beside if not BUNDLES.is_dir() and beside.is_dir() else BUNDLES


def _separated(value: object) -> object:
    if not isinstance(value, str):
        return value
    return [part.strip() for part in value.split(",") if part.strip()]


class Settings(BaseSettings):
    """What an operator may choose; every default works on a laptop."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="forbid", allow_inf_nan=False
    )

    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8080, ge=0, le=65_535, description="TCP port; 0: any free one")
    redis_url: str | None = Field(
        None, repr=False, description="Redis or Valkey; empty: start a private Valkey"
    )
    data_directory: Path = Field(
        Path(".gaugewatch"), description="folder of the private Valkey's data"
    )
    durability: Literal["always", "everysec", "replicated"] = Field(
        "always",
        description="before the answer on disk, or on that of replicas too, or a second after it",
    )
    replicas: int = Field(
        1, ge=1, le=5, description="replicas that must have a point before it is answered"
    )
    shards: int = Field(
        8, ge=1, le=1024, description="parts of the key space; fixed at first start"
    )
    entity_ttl_seconds: int = Field(
        7 * 86_400, ge=60, description="seconds without a point after which an entity is forgotten"
    )
    alert_retention: int = Field(10_000, ge=1, description="alerts kept per shard, at least")
    max_kept_entities: int = Field(
        1_000_000, ge=1, description="entities kept in Redis; each shard keeps its part of them"
    )

    incident_retention: int = Field(2_000, ge=1, description="incidents kept per shard")
    incident_ttl_seconds: int = Field(
        90 * 86_400, ge=60, description="seconds after its last point in which one is kept"
    )

    silence_periods: float = Field(
        10.0,
        ge=0,
        description="periods, at least a minute, without a point; then it is told; 0: never",
    )

    bundles: Path = Field(default_factory=_bundles, description="folder of exported models")
    default_bundle: str | None = Field(
        None,
        description="bundle of entities no bundle was trained on; empty: the only one there is",
    )
    examples_folder: Path | None = Field(
        None, description="folder of sample series, <bundle>/<entity>.npz or .csv; empty: none"
    )
    recording_directory: Path | None = Field(
        None, description="folder that posted points are recorded into; empty: they are not"
    )
    recording_points: int = Field(
        100_000, ge=1, le=10_000_000, description="points after which a file is written"
    )
    recording_seconds: float = Field(
        300.0, gt=0, le=86_400, description="seconds after which a file is written"
    )
    recording_days: float = Field(
        30.0, gt=0, description="days after which a recorded file is removed"
    )
    false_alarm_budget: float | None = Field(
        None, gt=0, description="false incidents per entity and day; empty: the bundle's own"
    )

    api_keys: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        (), description="bearer keys, comma separated; required unless host is loopback"
    )
    origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="web origins that may open the websocket beside our own, comma separated"
    )

    max_body_bytes: int = Field(4 * 2**20, ge=1, description="bytes of one request body")
    max_buffered_bytes: int = Field(
        128 * 2**20, ge=1, description="bytes of all request bodies being received at once"
    )
    max_points_per_request: int = Field(10_000, ge=1, description="points in one request")
    max_detect_bytes: int = Field(
        64 * 2**20, ge=1, description="bytes of one series to detect anomalies in"
    )
    max_detect_points: int = Field(100_000, ge=1, description="points of such a series")
    max_detect_requests: int = Field(1, ge=1, le=64, description="such series scored at once")
    detect_uploads: bool | None = Field(
        None,
        description="whether a series may bring its bundle; empty: only if host is loopback",
    )
    max_upload_bytes: int = Field(
        256 * 2**20, ge=1, description="bytes of the files of such a bundle, unpacked"
    )
    upload_seconds: float = Field(
        300.0, gt=0, le=86_400, description="seconds that scoring with it may take"
    )
    max_queued_points: int = Field(100_000, ge=1, description="points waiting to be scored")
    max_entities: int = Field(100_000, ge=512, description="entities held in memory")
    max_entity_characters: int = Field(200, ge=1, le=1000, description="characters of a name")
    max_future_seconds: int = Field(
        86_400, ge=0, description="seconds that a timestamp may be ahead of our clock"
    )
    head_seconds: float = Field(10.0, gt=0, description="seconds the head of a request may take")
    receive_seconds: float = Field(30.0, gt=0, description="seconds a body may take to arrive")
    max_subscribers: int = Field(1_000, ge=0, description="open alert sockets")
    subscriber_queue: int = Field(1_000, ge=1, description="alerts waiting for one subscriber")
    send_seconds: float = Field(4.0, gt=0, description="seconds a socket may block a message")
    heartbeat_seconds: float = Field(15.0, gt=0, description="seconds of silence on a socket")
    metrics_entities: int = Field(
        500, ge=0, le=10_000, description="entities whose score is exported, the highest first"
    )

    max_fleet_entities: int = Field(
        10_000, ge=1, le=100_000, description="entities shown on the page of the fleet"
    )

    log_format: Literal["auto", "console", "json"] = Field(
        "auto", description="log lines for people or machines; auto: by whether it is a terminal"
    )
    drain_seconds: float = Field(
        0.5, ge=0, description="seconds after SIGTERM in which we are not ready but serve still"
    )
    shutdown_seconds: float = Field(
        8.0, gt=0, description="seconds open requests and sockets get to end after that"
    )

    _split = field_validator("api_keys", "origins", mode="before")(_separated)

    @field_validator(
        *("redis_url", "default_bundle", "false_alarm_budget", "recording_directory"),
        *("detect_uploads", "examples_folder"),
        mode="before",
    )
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("api_keys")
    @classmethod
    def _keys_are_strong(cls, keys: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if not all(KEY_FORM.fullmatch(key.get_secret_value()) for key in keys):
            raise ValueError("expected keys of 16 to 200 letters, digits and . _ ~ -")
        return keys

    @property
    def takes_uploads(self) -> bool:
        """Whether a series may bring the bundle to score it with."""
        return is_loopback(self.host) if self.detect_uploads is None else self.detect_uploads

    @model_validator(mode="after")
    def _has_replicas(self) -> Self:
        if self.durability == "replicated" and not self.redis_url:
            raise ValueError(
                f"expected {PREFIX}REDIS_URL, because the private Valkey has no replicas"
            )
        return self

    @model_validator(mode="after")
    def _open_only_at_home(self) -> Self:
        if not self.api_keys and not is_loopback(self.host):
            raise ValueError(
                f"expected {PREFIX}API_KEYS, because host {self.host!r} can be reached by others"
            )
        return self


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_ours(variable: str) -> bool:
    """Whether an environment variable would be read, or refused, as a setting."""
    return variable.upper().startswith(PREFIX)


def read_settings(**chosen: Any) -> Settings:
    """Settings from the environment, overruled by `chosen`. Raises SettingInvalid."""
    _refuse_unknown(os.environ)
    try:
        return Settings(**chosen)
    except ValidationError as error:
        problems = (f"{_variable(one['loc'])}{one['msg']}" for one in error.errors())
        raise SettingInvalid("; ".join(problems)) from None  # the cause would show the values


def _refuse_unknown(environment: Mapping[str, str]) -> None:
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    for name in sorted(environment):
        if not is_ours(name) or name.upper() in known | NOT_SETTINGS:
            continue
        close = difflib.get_close_matches(name.upper(), known, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise SettingInvalid(f"{name} is not a setting{hint}")


def _variable(location: tuple[int | str, ...]) -> str:
    return f"{PREFIX}{str(location[0]).upper()}: " if location else ""
