"""The last incident of an entity on the scoreboard: until when it is shown, and who is to blame."""

import heapq
from dataclasses import dataclass, field
from math import inf
from typing import Final

from service.stream.messages import Verdict

SHOWN_SECONDS: Final = 60.0  # after its end, so that a scrape sees the shortest
CAUSES_SHOWN: Final = 3  # of an open incident


@dataclass(slots=True)
class LastIncident:
    """The shares of its causes are summed over the anomalies seen here."""

    id: str
    closed_seconds: float = inf
    anomalies: int = 0
    blame: dict[str, float] = field(default_factory=dict)

    def is_shown(self, now_seconds: float) -> bool:
        """While it is open, and a minute longer."""
        return now_seconds - self.closed_seconds < SHOWN_SECONDS

    def causes(self) -> tuple[tuple[str, float], ...]:
        """The leading dimensions and their mean shares, largest first."""
        leading = heapq.nsmallest(
            CAUSES_SHOWN, ((-blame, name) for name, blame in self.blame.items())
        )
        return tuple((name, -blame / self.anomalies) for blame, name in leading)


def incident_after(
    verdict: Verdict, before: LastIncident | None, now_seconds: float
) -> LastIncident | None:
    """The last incident after this point, which is newer than all that were seen here."""
    if verdict.incident is None:
        return closed(before, now_seconds) if before else None
    is_same = before is not None and before.id == verdict.incident
    incident = before if before is not None and is_same else LastIncident(verdict.incident)
    if verdict.is_anomaly:
        incident.anomalies += 1
        for cause in verdict.contributions:
            blame = incident.blame.get(cause.dimension, 0.0)
            incident.blame[cause.dimension] = blame + cause.share
    return closed(incident, now_seconds) if verdict.transition == "resolved" else incident


def closed(incident: LastIncident, now_seconds: float) -> LastIncident | None:
    """Closed now, unless it was already; None when it need not be shown any longer."""
    incident.closed_seconds = min(incident.closed_seconds, now_seconds)
    return incident if incident.is_shown(now_seconds) else None
