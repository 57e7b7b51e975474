"""The close-up of a report: the score over time, and the most severe incident in detail."""

from collections.abc import Sequence

import numpy as np

from service.scoring.bundle import Bundle
from service.scoring.incident import Transition
from service.scoring.offline import Scored
from service.scoring.series import Series
from trainer.measures.events import FloatArray, IntArray
from trainer.pictures.heat import draw_contributions
from trainer.pictures.ink import png
from trainer.pictures.reconstruction import draw_reconstruction
from trainer.pictures.score import draw_score
from trainer.pictures.time_axis import span_around

MARGIN_POINTS = (60, 240)  # shown on each side of an incident: as long as it is, within these
SHOWN, MAPPED = 4, 20  # dimensions: their values, their contributions
MAX_CLOSE_POINTS = 1500  # of a longer incident, the surroundings of its worst point


def close_up(
    bundle: Bundle, series: Sequence[Series], scored: Sequence[Scored], *, where: str
) -> list[str]:
    """Sections on the entity with the most severe incident; `where` names the series given."""
    worst = worst_of(scored)
    if worst is None:
        return [f"## Score\n\nNo point of the {where} was scored: it is too short."]
    at, peak = worst
    one, own = series[at], scored[at]
    png(draw_score(one, own), bundle.folder / "timeline.png")
    opened = sum(told.transition == Transition.OPENED for told in own.told)
    timeline = (
        f"## Score\n\n![score of {one.entity}](timeline.png)\n\n"
        f"{one.entity}, {where}: {len(own.score)} points, {int(own.is_anomaly.sum())} anomalous, "
        f"{opened} incidents opened."
    )
    return [timeline, _incident(bundle, one, own, peak=peak)]


def worst_of(scored: Sequence[Scored]) -> tuple[int, int] | None:
    """Series and row of the most severe anomaly; of the most severe point if there is none."""
    for only_anomalies in (True, False):
        peaks = []
        for at, own in enumerate(scored):
            known = np.isfinite(own.severity) & (own.is_anomaly | (not only_anomalies))
            if known.any():
                row = int(np.where(known, own.severity, -np.inf).argmax())
                peaks.append((float(own.severity[row]), at, row))
        if peaks:
            _, at, row = max(peaks)
            return at, row
    return None


def _incident(bundle: Bundle, series: Series, scored: Scored, *, peak: int) -> str:
    first, last = incident_of(scored, peak)
    blame = blame_of(scored, first, last)
    order = np.argsort(-blame, kind="stable")
    rows = around(len(series.values), first, last, peak=peak)
    span = span_around(series, rows, first=first, last=last)
    culprits = {
        dimension
        for segment in series.segments
        if segment.start <= last and segment.end >= first
        for dimension in segment.dimensions
    }
    band = bundle.calibration.band[bundle.entity_indices.get(series.entity, 0)]
    shown = order[:SHOWN].tolist()
    expected = scored.expected[rows][:, shown].astype(np.float64)  # (time, shown)
    values = draw_reconstruction(span, expected, band=band, dimensions=shown)
    png(values, bundle.folder / "expected.png")
    map_of_all = draw_contributions(
        span, scored.contribution, order=order[:MAPPED], culprits=sorted(culprits)
    )
    png(map_of_all, bundle.folder / "contributions.png")
    bands = ", ".join(f"{series.dimensions[d]} ± {band[d]:.3g}" for d in shown)
    what = "incident" if scored.is_anomaly[peak] else "point (no point was anomalous)"
    marked = " ● marks the labelled culprits." if culprits else ""
    return (
        f"## The most severe {what}\n\n{series.entity}, point {first} to {last}, severity "
        f"{scored.severity[peak]:.3g} and score {scored.score[peak]:.3g} at point {peak}. "
        f"Most blamed: {causes_of(series, blame, order)}.\n\n"
        "![true and expected values of the most blamed dimensions](expected.png)\n\n"
        f"![contributions by dimension and time](contributions.png)\n\n"
        f"Points {rows.start} to {rows.stop - 1}. Shaded, and the line on top: labelled. "
        f"Dashed: opened, resolved.{marked} Band (99 % of held-out points): {bands}."
    )


def incident_of(scored: Scored, peak: int) -> tuple[int, int]:
    """First and last row of the incident that was open at `peak`."""
    opened = [t.row for t in scored.told if t.transition == Transition.OPENED and t.row <= peak]
    if not opened or not scored.is_anomaly[peak]:
        return peak, peak
    ends = (Transition.RESOLVED, Transition.NEW_NORMAL)
    closed = [t.row for t in scored.told if t.transition in ends and t.row >= peak]
    return opened[-1], min(closed, default=len(scored.score) - 1)


def around(length: int, first: int, last: int, *, peak: int) -> slice:
    margin = int(np.clip(last - first + 1, *MARGIN_POINTS))
    start, stop = max(first - margin, 0), min(last + margin + 1, length)
    if stop - start > MAX_CLOSE_POINTS:
        start = min(max(peak - MAX_CLOSE_POINTS // 2, start), stop - MAX_CLOSE_POINTS)
        stop = start + MAX_CLOSE_POINTS
    return slice(start, stop)


def blame_of(scored: Scored, first: int, last: int) -> FloatArray:
    """Mean contribution (dimension,) over the anomalous points of an incident."""
    rows = scored.contribution[first : last + 1].astype(np.float64)
    flags = scored.is_anomaly[first : last + 1]
    return np.asarray((rows[flags] if flags.any() else rows).mean(axis=0))


def causes_of(series: Series, blame: FloatArray, order: IntArray) -> str:
    total = float(blame.sum()) or 1.0
    return ", ".join(f"{series.dimensions[d]} ({blame[d] / total:.0%})" for d in order[:5])
