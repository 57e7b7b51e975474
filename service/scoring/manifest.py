"""The manifest: what `bundle.json` says, and the digest that names a version."""

import hashlib
import json
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

# Parity is not in it: its last digits depend on the number of threads that measured it.
NOT_IN_DIGEST = {"version", "created_at", "metrics", "report", "parity"}


class _Frozen(BaseModel):
    """Immutable, and closed: a field nobody knows is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class File(_Frozen):
    """A file of the bundle, by the digest of its bytes."""

    file: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class StateTensor(_Frozen):
    """What the step graph carries from point to point: `state_<name>` in, `next_<name>` out."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    shape: tuple[int, ...]


class View(_Frozen):
    """How the scoring looks at one member's error."""

    member: str
    power: Literal["abs", "square"]
    half_life_points: float = Field(gt=0)
    floor: float = Field(gt=0, description="smallest believable deviation, in scaled units")
    aggregation: Literal["sum", "sum_sqrt", "top_mean"]
    top: int = Field(default=1, ge=1, description="dimensions averaged by top_mean")
    role: Literal["score", "severity", "both"]
    weight: float = Field(default=1.0, gt=0, description="of its surprisal among the others'")


class Manifest(_Frozen):
    """`bundle.json`. The digest covers what determines a score, see `NOT_IN_DIGEST`."""

    format_version: Literal[1] = 1
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    version: str = ""
    model: str
    dimensions: tuple[str, ...] = Field(min_length=1)
    entities: tuple[str, ...]
    period_seconds: float = Field(gt=0)
    window_length: int = Field(ge=1)
    memory_horizon: int = Field(ge=1)
    is_horizon_reached: bool = Field(description="False: the memory is longer than was measured")
    members: tuple[str, ...] = Field(min_length=1)
    state: tuple[StateTensor, ...]
    step: File
    window: File
    calibration: File
    views: tuple[View, ...] = Field(min_length=1)
    default_budget: float = Field(gt=0, description="false incidents per entity and day")
    supported_p: float = Field(gt=0, lt=1, description="smaller p-values are extrapolated")
    parity: dict[str, float]
    training: dict[str, str | int | float]
    metrics: dict[str, dict[str, float]] = {}
    created_at: str = ""
    report: str = ""

    @model_validator(mode="after")
    def _names_agree(self) -> Self:
        for names in (self.dimensions, self.entities, self.members):
            if len(set(names)) != len(names):
                raise ValueError(f"names must be unique, got {names}")
        if unknown := {view.member for view in self.views} - set(self.members):
            raise ValueError(f"views name members that no graph yields: {sorted(unknown)}")
        for role in ("score", "severity"):
            if not any(view.role in (role, "both") for view in self.views):
                raise ValueError(f"no view has the role {role!r}")
        return self

    @property
    def digest(self) -> str:
        """SHA-256 of what determines a score."""
        text = self.model_dump_json(exclude=NOT_IN_DIGEST)
        canonical = json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()
