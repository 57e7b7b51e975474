"""What the fleet is told by the alert log: an incident is open, or over."""

from typing import Annotated, Final

from msgspec import Meta, MsgspecError, Struct
from msgspec.json import Decoder

from service.stream.messages import AlertKind
from service.stream.silence import GAP_MARK, SILENCE_MARK

_Time = Annotated[int, Meta(ge=0, lt=2**62)]


class Told(Struct, frozen=True):
    """What of an alert matters to the fleet."""

    kind: AlertKind
    entity: str
    incident: str
    opened_ms: _Time
    timestamp_ms: _Time

    @property
    def is_over(self) -> bool:
        """Whether the incident ended."""
        return self.kind == "resolved"

    @property
    def is_silence(self) -> bool:
        """Whether it is an incident of silence."""
        return self.incident.endswith(SILENCE_MARK)

    @property
    def as_of_ms(self) -> int:
        """Time of the newest point when this was told."""
        return self.opened_ms if self.is_silence else self.timestamp_ms


_TOLD: Final = Decoder(Told)


def told_of(content: bytes) -> Told | None:
    """What an alert says of an incident that lasts; nothing where somebody else wrote it."""
    try:
        told = _TOLD.decode(content)
    except MsgspecError:
        return None
    return None if told.incident.endswith(GAP_MARK) else told
