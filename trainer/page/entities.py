"""A few entities in detail: score, values against what was expected, blame, latent."""

from collections.abc import Sequence

import numpy as np

from service.scoring.incident import Transition
from trainer.close_up import around, blame_of, causes_of, incident_of, worst_of
from trainer.material import Material
from trainer.measures.events import IntArray
from trainer.page.exhibits import (
    BLAMED,
    Exhibit,
    blame_of_all,
    chosen_dimensions,
    culprits_of,
    exhibits,
    peak_of,
)
from trainer.page.explained import Explainer
from trainer.page.markup import figure, heading, paragraph, section
from trainer.page.words import ENTITIES, LATENT
from trainer.pictures.heat import draw_contributions
from trainer.pictures.inline import svg
from trainer.pictures.latent import draw_latent
from trainer.pictures.reconstruction import draw_reconstruction
from trainer.pictures.score import draw_score
from trainer.pictures.time_axis import Span, span_around, span_of

LATENT_ROWS = 1200


def entities_of(material: Material, explainer: Explainer) -> str:
    """The section of all that are shown."""
    where, shown = material.shown[2], exhibits(material)
    if not shown:
        why = f"No point of the {where} was scored: it is too short."
        return section("entities", "What it saw", paragraph(why))
    parts = [_part(material, explainer, one) for one in shown]
    return section("entities", "What it saw", paragraph(f"On the {where}. {ENTITIES}"), *parts)


def _part(material: Material, explainer: Explainer, one: Exhibit) -> str:
    return (
        heading(", ".join(filter(None, (one.series.entity, one.kind))))
        + _score(one)
        + _whole(material, one)
        + _incident(material, one)
        + _latent(explainer, one)
    )


def _score(one: Exhibit) -> str:
    scored = one.scored
    flagged = int(scored.is_anomaly.sum())
    opened = sum(told.transition == Transition.OPENED for told in scored.told)
    alt = (
        f"Score and severity of {one.series.entity} over {len(scored.score)} points: {flagged} "
        f"points are above the threshold, in {opened} incidents; the highest score is "
        f"{np.nanmax(scored.score):.3g}, the highest severity {peak_of(scored):.3g} nats"
    )
    label = one.series.label
    if label is not None and label.any():
        inside = int((scored.is_anomaly & label).sum())
        alt += f"; {inside} of the flagged points are in labelled segments"
    return figure(
        svg(draw_score(one.series, scored), f"{one.name}-score", f"{alt}."),
        f"Score with its threshold and labelled segments, severity below it. {flagged} of "
        f"{len(scored.score)} points are anomalous, in {opened} incidents.",
    )


def _whole(material: Material, one: Exhibit) -> str:
    order = np.argsort(-blame_of_all(one.scored), kind="stable")
    shown = chosen_dimensions(one.series, order)
    span = span_of(one.series)
    return _values(material, one, span, shown) + _blame(one, span, order)


def _incident(material: Material, one: Exhibit) -> str:
    found = worst_of([one.scored])
    if found is None:
        return ""
    peak = found[1]
    first, last = incident_of(one.scored, peak)
    blame = blame_of(one.scored, first, last)
    order = np.argsort(-np.nan_to_num(blame), kind="stable")
    rows = around(len(one.series.values), first, last, peak=peak)
    is_anomaly = bool(one.scored.is_anomaly[peak])
    what = "most severe incident" if is_anomaly else "most severe point; none was anomalous"
    shown = chosen_dimensions(one.series, order)
    span = span_around(one.series, rows, first=first, last=last)
    return (
        paragraph(
            f"Close up, the {what}: point {first} to {last}, severity "
            f"{one.scored.severity[peak]:.3g} and score {one.scored.score[peak]:.3g} at point "
            f"{peak}. Most blamed: {causes_of(one.series, blame, order)}. Dashed: opened, resolved."
        )
        + _values(material, one, span, shown)
        + _blame(one, span, order)
    )


def _values(material: Material, one: Exhibit, span: Span, shown: Sequence[int]) -> str:
    bundle, series, rows = material.bundle, one.series, span.rows
    band = bundle.calibration.band[bundle.entity_indices.get(series.entity, 0)]
    expected = one.scored.expected[rows][:, shown].astype(np.float64)  # (time, shown)
    names = ", ".join(series.dimensions[d] for d in shown[:BLAMED])
    others = ", ".join(series.dimensions[d] for d in shown[BLAMED:])
    apart = np.abs(series.values[rows][:, shown] - expected) > band[shown]
    shares = zip(shown, apart.mean(axis=0), strict=True)
    outside = ", ".join(f"{series.dimensions[d]} {share:.1%}" for d, share in shares)
    alt = (
        f"Value, expected value and band of {len(shown)} dimensions of {series.entity}, points "
        f"{rows.start} to {rows.stop - 1}. Share of values outside the band: {outside}."
    )
    picture = draw_reconstruction(span, expected, band=band, dimensions=shown)
    return figure(
        svg(picture, f"{one.name}-values-{_part_of(span)}", alt),
        f"What was measured and what the model expected. Most blamed: {names}."
        + (f" For comparison: {others}." if others else ""),
    )


def _part_of(span: Span) -> str:
    return "close" if span.marks else "whole"


def _blame(one: Exhibit, span: Span, order: IntArray) -> str:
    series, rows, culprits = one.series, span.rows, culprits_of(span)
    top = ", ".join(series.dimensions[d] for d in order[:5])
    alt = (
        f"Heat-map of contributions of {len(order)} dimensions of {series.entity}, points "
        f"{rows.start} to {rows.stop - 1}. From the top: {top}."
    )
    picture = draw_contributions(span, one.scored.contribution, order=order, culprits=culprits)
    marked = " Dots mark dimensions labelled guilty." if culprits else ""
    line = " The red line on top marks labelled points." if series.label is not None else ""
    return figure(
        svg(picture, f"{one.name}-blame-{_part_of(span)}", alt),
        f"Who is to blame, and when: the stronger the colour, the more a dimension contributed. "
        f"The most blamed is on top.{line}{marked}",
    )


def _latent(explainer: Explainer, one: Exhibit) -> str:
    if "latent" not in explainer.names:
        return ""
    rows = explainer.rows_of(one.series, LATENT_ROWS)
    if len(rows) < 2:
        return ""
    codes, severity = explainer.tell(one.series, rows)["latent"], one.scored.severity[rows]
    span = span_of(one.series)
    picture = draw_latent(codes, severity, span.times[rows], title=span.title)
    alt = (
        f"Latent trajectory of {one.series.entity}: {len(rows)} codes of {codes.shape[1]} numbers, "
        "in their first two principal components and over time, coloured by severity."
    )
    return figure(svg(picture, f"{one.name}-latent", alt), LATENT)
