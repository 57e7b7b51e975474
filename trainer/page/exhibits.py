"""Who and what is shown in detail: a bounded number of entities, dimensions and culprits."""

from dataclasses import dataclass

import numpy as np

from service.scoring.offline import Scored
from service.scoring.series import Series
from trainer.close_up import worst_of
from trainer.material import Material
from trainer.measures.events import FloatArray, IntArray
from trainer.pictures.time_axis import Span

BLAMED, ORDINARY = 4, 2  # dimensions drawn


@dataclass(frozen=True)
class Exhibit:
    """One entity that is shown."""

    name: str  # of its pictures
    kind: str
    series: Series
    scored: Scored


def exhibits(material: Material) -> list[Exhibit]:
    """The entity with the most severe point, and the one whose most severe point is the median."""
    series, scored, _ = material.shown
    worst = worst_of(scored)
    if worst is None:
        return []
    peaks = np.array([peak_of(own) for own in scored])
    known = np.flatnonzero(np.isfinite(peaks))
    typical = int(known[np.argsort(peaks[known], kind="stable")[(len(known) - 1) // 2]])
    chosen = {worst[0]: "the most severe", typical: "a typical one"}
    if len(known) == 1 or typical == worst[0]:
        chosen = {worst[0]: "" if len(known) == 1 else "the most severe"}
    return [
        Exhibit(f"e{number}", kind, series[at], scored[at])
        for number, (at, kind) in enumerate(chosen.items(), start=1)
    ]


def peak_of(scored: Scored) -> float:
    """The highest severity of a series; NaN where nothing was scored."""
    known = np.isfinite(scored.severity)
    return float(scored.severity[known].max()) if known.any() else float("nan")


def blame_of_all(scored: Scored) -> FloatArray:
    """Mean contribution (dimension,) over all anomalous points; over all scored if none is."""
    chosen = scored.is_anomaly if scored.is_anomaly.any() else np.isfinite(scored.score)
    return np.asarray(scored.contribution[chosen].mean(axis=0, dtype=np.float64))


def chosen_dimensions(series: Series, order: IntArray) -> list[int]:
    """The most blamed, and some that move and are blamed less."""
    blamed = [int(d) for d in order[:BLAMED]]
    moving = [int(d) for d in order[BLAMED:] if _moves(series.values[:, d])]
    places = np.linspace(0, len(moving) - 1, ORDINARY + 2)[1:-1].round().astype(int)
    return blamed + list(dict.fromkeys(moving[place] for place in places if moving))


def _moves(values: FloatArray) -> bool:
    known = values[np.isfinite(values)]
    return bool(len(known)) and float(np.ptp(known)) > 0


def culprits_of(span: Span) -> list[int]:
    """Dimensions that people found guilty in a close-up; of a whole series it would be most."""
    if not span.marks:
        return []
    segments = span.series.segments
    overlap = [s for s in segments if s.start < span.rows.stop and s.end >= span.rows.start]
    return sorted({dimension for segment in overlap for dimension in segment.dimensions})
