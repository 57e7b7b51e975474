"""`gaugewatch score`: a file through a bundle, exactly as the service would have answered."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from service.cli.files import Part, fitted_to, progress_bar
from service.cli.options import in_a_folder, positive
from service.cli.scored_file import expect_writable, write_scored
from service.scoring.bundle import load_bundle
from service.scoring.fold import Fold, shares_of, top_causes
from service.scoring.incident import Transition
from service.scoring.offline import Scored, score_series
from service.scoring.series import Series, read_series

CAUSES_SHOWN = 3


def score(
    bundle: Annotated[Path, typer.Option(help="Bundle folder, or the folder of its versions.")],
    input_: Annotated[
        Path, typer.Option("--input", help="NPZ, CSV, Parquet or JSON of one entity.")
    ],
    output: Annotated[
        Path | None, typer.Option(help="NPZ or CSV to write; JSON of JSON.", callback=in_a_folder)
    ] = None,
    part: Annotated[Part, typer.Option(help="Which part of an NPZ.")] = Part.TEST,
    entity: Annotated[str | None, typer.Option(help="Default: the name of the file.")] = None,
    budget: Annotated[
        float | None, typer.Option(help="False incidents per entity-day.", callback=positive)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Score a series offline and list its incidents with their causes."""
    if output is not None:
        expect_writable(output, input_)
    fold = Fold(load_bundle(bundle), budget=budget)
    period_seconds = fold.bundle.manifest.period_seconds
    series = read_series(input_, part=part.value, period_seconds=period_seconds)
    series = fitted_to(fold.bundle.manifest, series)
    series = replace(series, entity=entity or series.entity)
    with progress_bar(is_shown=not as_json) as progress:
        task = progress.add_task(f"scoring {series.entity}", total=len(series.values))
        [scored] = score_series(fold, [series], on_point=lambda n: progress.advance(task, n))
    if output is not None:
        write_scored(output, scored, series=series, origin=input_)
    incidents = _incidents(series, scored)
    if as_json:
        summary = {"entity": series.entity, "bundle": fold.bundle.title, **_counts(scored)}
        typer.echo(json.dumps({**summary, "incidents": incidents}))
    else:
        _show(fold, series, scored, incidents)


def _counts(scored: Scored) -> dict[str, int]:
    return {
        "points": len(scored.score),
        "scored": int(np.isfinite(scored.score).sum()),
        "anomalies": int(scored.is_anomaly.sum()),
    }


def _incidents(series: Series, scored: Scored) -> list[dict[str, Any]]:
    """Opening, length, peak and causes of every incident."""
    incidents: dict[int, dict[str, Any]] = {}
    for told in scored.told:
        opened_ms = int(told.incident["opened_ms"])
        shares = shares_of(told.incident["blame"][None].astype(np.float32))[0]
        causes = [series.dimensions[d] for d in top_causes(shares[None], CAUSES_SHOWN)[0]]
        incident = incidents.setdefault(opened_ms, {"opened_ms": opened_ms, "row": told.row})
        incident["points"] = int(told.incident["points"])
        incident["peak_score"] = float(told.incident["peak_score"])
        incident["causes"] = [cause for cause in causes if shares[series.dimensions.index(cause)]]
        incident["is_resolved"] = told.transition >= Transition.RESOLVED
    return list(incidents.values())


def _show(fold: Fold, series: Series, scored: Scored, incidents: list[dict[str, Any]]) -> None:
    counts = _counts(scored)
    table = Table("row", "points", "peak score", "causes", title=f"Incidents of {series.entity}")
    for incident in incidents:
        open_mark = "" if incident["is_resolved"] else " (open)"
        table.add_row(
            str(incident["row"]),
            f"{incident['points']}{open_mark}",
            f"{incident['peak_score']:.2f}",
            ", ".join(incident["causes"]),
        )
    console = Console(markup=False)
    console.print(table)
    console.print(
        f"{counts['points']} points, {counts['scored']} scored, {counts['anomalies']} anomalous, "
        f"{len(incidents)} incidents at a budget of {fold.budget:g} false ones per day; "
        f"bundle {fold.bundle.title}",
        highlight=False,
    )
