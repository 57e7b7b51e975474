"""What is known of incidents, as it is read: one, a page of them, a whole record."""

from typing import Literal, NamedTuple

import msgspec
from msgspec import Struct

from service.stream.messages import Alert, Row
from service.stream.policy import Policy

Label = Literal["true", "false", "new_normal"]


class Note(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a person says of an incident."""

    is_acknowledged: bool = False
    label: Label | None = None
    by: str | None = None
    text: str | None = None


class Incident(Struct, frozen=True):
    """One incident: the newest that was told about it, and what people said."""

    incident: str
    entity: str
    is_open: bool
    opened_ms: int
    note: Note
    alert: Alert  # the newest
    worst: Alert | None = None  # the last before its end, told at a new peak; None: none is kept


class IncidentPage(Struct, frozen=True):
    """Some incidents, the last opened first."""

    incidents: list[Incident]
    next: str | None  # cursor of what follows, None at the end


class Opening(Struct, frozen=True, array_like=True):
    """Where the replay of an incident begins."""

    state: bytes  # of the entity before the first row
    policy: Policy  # that held when it opened

    def encode(self) -> bytes:
        """As the record keeps it."""
        return msgspec.msgpack.encode(self)

    @staticmethod
    def decode(content: bytes) -> "Opening":
        """The inverse of `encode`. Raises msgspec.MsgspecError."""
        return msgspec.msgpack.decode(content, type=Opening)


class IncidentRecord(NamedTuple):
    """All that is kept of an incident, as bytes."""

    incident: Incident
    layout: str  # of rows and state; "... ends": the last rows are not kept
    opening: bytes
    rows: bytes  # from the commit that opened it to its end
    before: bytes  # the newest rows before them, to be looked at

    @property
    def written_as(self) -> str:
        """The layout of its rows and of the state before them."""
        return self.layout.partition(" ")[0]

    @property
    def is_whole(self) -> bool:
        """False: its last rows are not kept."""
        return not self.layout.endswith(" ends")


class IncidentRows(Struct, frozen=True):
    """The points of an incident, from somewhat before it opened, with their verdicts."""

    incident: str
    entity: str
    model: str  # that scored them
    dimensions: list[str]
    is_whole: bool  # False: its last points are not kept
    window: list[Row]  # oldest first


class Wanted(NamedTuple):
    """Which incidents are asked for."""

    entity: str | None = None
    is_open: bool | None = None
    label: Label | Literal["none"] | None = None
    since_ms: int | None = None

    def has(self, incident: Incident) -> bool:
        """Whether this is one of them."""
        label = incident.note.label or "none"
        return (
            self.entity in (None, incident.entity)
            and self.is_open in (None, incident.is_open)
            and self.label in (None, label)
            and (self.since_ms is None or incident.opened_ms >= self.since_ms)
        )
