"""Interpretation labels: which dimensions were to blame, as OmniAnomaly and InterFusion publish it.

`start-end:dimension,dimension,...` a line; rows count from 0, dimensions from 1.
"""

import re
from dataclasses import replace
from pathlib import Path

from service.errors import BadSeries
from service.scoring.series import Segment
from trainer.layouts.source import BoolArray, Source

LINE = re.compile(r"^(\d+)-(\d+):(\d+(?:,\d+)*)$")


def read_interpretation(
    path: Path, source: Source, *, label: BoolArray, width: int, is_end_included: bool
) -> tuple[Segment, ...]:
    """The segments of a file beside the `label` (time,) they should agree with.

    SMD leaves the end out, ASD includes it. A range of SMD that is a run of the label only with its
    end gets it; others that the label contradicts stay as they are published. Both are told.
    Raises BadSeries.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as problem:
        raise BadSeries(f"{path}: expected lines of start-end:dimensions: {problem}") from problem
    segments = tuple(
        _segment(f"{path}: row {number}", line, width=width, is_end_included=is_end_included)
        for number, line in enumerate(lines, start=1)
        if line.strip()
    )
    for one in segments:
        if not one.start <= one.end < len(label):
            raise BadSeries(f"{path}: expected ranges within {len(label)} points, came {one}")
    if odd := [one for one in segments if not _agrees(one, label)]:
        source.tell(
            f"{path}: {len(odd)} of {len(segments)} ranges differ from the runs of the label, "
            f"first {odd[0].start}-{odd[0].end} (end included)"
        )
    return segments if is_end_included else tuple(_with_end(one, label) for one in segments)


def _with_end(segment: Segment, label: BoolArray) -> Segment:
    longer = replace(segment, end=segment.end + 1)
    is_longer = longer.end < len(label) and _agrees(longer, label)
    return longer if is_longer and not _agrees(segment, label) else segment


def _segment(place: str, line: str, *, width: int, is_end_included: bool) -> Segment:
    found = LINE.match(line.replace(" ", ""))
    if found is None:
        raise BadSeries(f"{place}: expected start-end:dimension,..., came {line[:40]!r}")
    start, end = int(found[1]), int(found[2])
    dimensions = sorted({int(number) for number in found[3].split(",")})
    if not 1 <= dimensions[0] <= dimensions[-1] <= width:
        raise BadSeries(f"{place}: expected dimensions of 1 to {width}, came {dimensions}")
    last = end if is_end_included else end - 1
    return Segment(start, last, tuple(number - 1 for number in dimensions))


def _agrees(segment: Segment, label: BoolArray) -> bool:
    """Whether the label has exactly this run."""
    before, after = segment.start - 1, segment.end + 1
    return bool(
        label[segment.start : after].all()
        and not (before >= 0 and label[before])
        and not (after < len(label) and label[after])
    )
