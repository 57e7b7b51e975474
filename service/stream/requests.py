"""Requests: points that wait for their verdicts, several of them in one batch."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from service.errors import BadPoints, GaugewatchError
from service.stream.messages import Verdict
from service.stream.posted import Posted
from service.stream.serving import Serving


@dataclass(frozen=True, eq=False)
class Request:
    """Points that wait for their verdicts."""

    points: Posted
    checked: Serving  # whose bundles they fit
    answer: asyncio.Future[list[Verdict]]
    is_quiet: bool = False  # a backfill: nobody is alerted


Requests = Sequence[Request]


def misfits(
    requests: Requests, checked: list[Serving], serving: Serving
) -> dict[int, GaugewatchError]:
    """Answers to requests that fit the bundles of before, and not those of now."""
    answers: dict[int, GaugewatchError] = {}
    if all(one is serving for one in checked):
        return answers
    for number, span in enumerate(spans(requests)):
        if checked[number] is serving:
            continue
        checked[number] = serving
        try:
            serving.check(requests[number].points)
        except BadPoints as error:
            answers |= dict.fromkeys(span, error)
    return answers


def quiet_positions(requests: Requests) -> frozenset[int]:
    """Positions of the points of backfills."""
    if not any(request.is_quiet for request in requests):
        return frozenset()
    pairs = zip(requests, spans(requests), strict=True)
    return frozenset(i for request, span in pairs if request.is_quiet for i in span)


def spans(requests: Requests) -> list[range]:
    """Positions of the points of each request."""
    ends = accumulate((len(request.points) for request in requests), initial=0)
    return [range(*span) for span in pairwise(ends)]
