"""How good a bundle is beside the floors, what its score means, and thresholds compared."""

import numpy as np

from trainer.budget import BUDGETS
from trainer.material import Material
from trainer.page.markup import facts, figure, heading, paragraph, section, table, terms
from trainer.page.words import MEASURES, ROWS, SCORE, THRESHOLDS
from trainer.pictures.curves import COMPARED, draw_budgets, draw_floors
from trainer.pictures.inline import svg
from trainer.report import MAX_ENTITIES
from trainer.tables import MEASURES as TITLES, ROWS as NAMES, cell, table as table_of
from trainer.threshold_rows import table_of as thresholds_of

BY_ENTITY = ("average_precision", "vus_pr", "event_recall", "false_episodes_per_day")


def measures_of(material: Material) -> str:
    """The bundle beside its floors, on all labelled series and by entity."""
    rows = material.evaluation.rows
    if not rows:
        why = "The data have no labelled test half: nothing could be measured."
        return section("detection", "How good it is", paragraph(why))
    labelled = sum(any(one.values()) for one in material.evaluation.entities)
    head, lines = table_of(rows)
    return section(
        "detection",
        "How good it is",
        paragraph(
            f"Measured on {labelled} labelled test series, point by point as the service would "
            f"answer{', each alone, and then averaged' if labelled > 1 else ''}. The other columns "
            "are floors: what it has to beat. Where the bundle is not better than one of them, "
            "that floor would do."
        ),
        _floors(material),
        table("measures of the bundle and of the floors", head, lines, own="bundle"),
        terms("What the columns are", {n: ROWS[n] for n in head[1:] if n in ROWS}),
        terms("What the measures mean", {n[0]: MEASURES[n[0]] for n in lines if n[0] in MEASURES}),
        _by_entity(material),
    )


def score_of(material: Material) -> str:
    """What the score means, the budget behind its threshold, and other thresholds."""
    manifest = material.bundle.manifest
    return section(
        "score",
        "What its score means",
        paragraph(SCORE),
        paragraph(
            f"The threshold follows from a budget: {manifest.default_budget:g} false incidents per "
            "entity and day. A smaller budget raises it, and small faults are missed. Chances "
            f"below {manifest.supported_p:.2g} are extrapolated."
        ),
        _budget(material),
        _thresholds(material),
    )


def _floors(material: Material) -> str:
    rows = material.evaluation.rows
    said = [
        f"{NAMES[name]} {rows[name]['average_precision']:.2f}"
        for name in NAMES
        if "average_precision" in rows.get(name, {})
    ]
    alt = f"Dot plot of {' and '.join(COMPARED.values())} by row. Average precision: " + ", ".join(
        said
    )
    return figure(
        svg(draw_floors(rows), "floors", f"{alt}."),
        "How well each row ranks anomalous points before normal ones.",
    )


def _by_entity(material: Material) -> str:
    evaluation = material.evaluation
    if len(evaluation.entities) < 2:
        return ""
    lines = [
        [series.entity, *(cell(measures["bundle"].get(name)) for name in BY_ENTITY)]
        for series, measures in zip(evaluation.series, evaluation.entities, strict=True)
    ]
    more = len(lines) - MAX_ENTITIES
    return (
        heading("By entity")
        + table(
            "measures by entity",
            ["entity", *(TITLES[name] for name in BY_ENTITY)],
            lines[:MAX_ENTITIES],
        )
        + paragraph(f"{more} more." if more > 0 else "")
    )


def _budget(material: Material) -> str:
    observed, chosen = material.incidents, material.bundle.manifest.default_budget
    if not observed:
        return ""
    nearest = int(np.abs(np.log(BUDGETS / chosen)).argmin())
    rates = {name: f"{rates[nearest]:.2f}" for name, rates in observed.items()}
    said = "; ".join(f"{name} {rate}" for name, rate in rates.items())
    alt = (
        f"Incidents per entity-day against the budget, both on logarithmic axes. "
        f"At a budget of {BUDGETS[nearest]:.2g}: {said}."
    )
    came = {f"came, {name}": rate for name, rate in rates.items()}
    return figure(
        svg(draw_budgets(BUDGETS, observed, chosen=chosen), "budget", alt),
        "Incidents per entity-day that each budget would have led to. On the dotted line the "
        "promise is kept exactly; below it there were fewer.",
    ) + facts({"promised per entity-day": f"{BUDGETS[nearest]:.2g}", **came})


def _thresholds(material: Material) -> str:
    if not material.thresholds:
        return ""
    head, lines = thresholds_of(material.thresholds)
    known = {name: THRESHOLDS.get(name.split(":")[0], "") for name in head[1:]}
    return (
        heading("Thresholds compared")
        + paragraph(
            "Other ways to choose a threshold, on the same score; all but the last see nothing but "
            "scores of calibration points."
        )
        + table("thresholds compared", head, lines, own="service")
        + terms("What the thresholds are", known)
    )
