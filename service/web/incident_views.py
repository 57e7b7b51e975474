"""Incidents in OpenAPI. A test compares them with the structs that are sent."""

from pydantic import Field

from service.stream.incident_messages import Label
from service.web.schemas import Documented, Milliseconds, Model, Name
from service.web.views import Alert, Row


class NoteView(Documented):
    """What a person says of an incident; what is left out stays as it was."""

    is_acknowledged: bool = False
    label: Label | None = Field(
        None, description="a true alarm, a false one, or a change that is normal from now on"
    )
    by: str | None = Field(None, examples=["ann"])
    text: str | None = Field(None, examples=["a deployment"])


class IncidentView(Documented):
    """One incident."""

    incident: str = Field(examples=["web-01@1750000000000"])
    entity: Name
    is_open: bool
    opened_ms: Milliseconds
    note: NoteView
    alert: Alert = Field(description="the newest that was told about it")
    worst: Alert | None = Field(
        description="the last before its end, told at a new peak; null: none is kept"
    )


class IncidentPageView(Documented):
    """Some incidents, the last opened first."""

    incidents: list[IncidentView]
    next: str | None = Field(description="cursor for `after`; null at the end")


class IncidentRowsView(Documented):
    """The points of an incident, from somewhat before it opened."""

    incident: str = Field(examples=["web-01@1750000000000"])
    entity: Name
    model: Model
    dimensions: list[str] = Field(examples=[["cpu", "memory"]])
    is_whole: bool = Field(description="false: its last points are not kept")
    window: list[Row] = Field(description="oldest first")
