"""Three incidents of labelled machines, from the alert to the causes, for `docs/explaining.md`.

    python -m benchmarks.explaining --data ../shared/data

Scores the test halves of the machines that bundles are shipped for, chooses three incidents by
rule, draws them, and fills the page between `<!-- figures:NAME -->` and `<!-- /figures -->`.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from benchmarks import figures
from benchmarks.incidents import Incident, chosen, incidents_of, opening_alert
from benchmarks.pictures import draw
from service.scoring.bundle import load_bundle
from service.scoring.fold import Fold
from service.scoring.offline import score_series
from service.scoring.series import read_series

PAGE = Path("docs/explaining.md")
PICTURES = Path("docs/pictures")
RESULTS = Path("benchmarks/results/explaining.json")
MACHINES = {"smd-machine-1-6": "machine-1-6", "smd-machine-2-1": "machine-2-1"}
WORDS = ("entity", "model")  # of a machine; the rest are numbers
NAMES = ("worst", "find", "false")
CULPRITS_LISTED = 8  # by name
SHOWN_IN_JSON = 2  # causes of the alert that is shown in full

Found = dict[str, Any]


def main(
    data: Annotated[Path, typer.Option(help="Folder that holds SMD/.")],
    bundles: Annotated[Path, typer.Option(help="Folder of bundles.")] = Path("exported_models"),
) -> None:
    """Choose, draw and describe three incidents."""
    incidents = [one for name in MACHINES for one in _scored(data, bundles / name)]
    PICTURES.mkdir(exist_ok=True)
    shown = {}
    for number, (name, incident) in enumerate(zip(NAMES, chosen(incidents), strict=True), start=1):
        draw(PICTURES / f"explaining-{number}.png", incident)
        shown[name] = _described(incident)
    found = {"machines": _counts(incidents), "incidents": shown}
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    PAGE.write_text(filled(PAGE.read_text(), found))


def filled(text: str, found: Found) -> str:
    """The page with its figures up to date."""
    return figures.filled(text, lambda name: _lines(name, found))


def _scored(data: Path, folder: Path) -> list[Incident]:
    bundle = load_bundle(folder)
    period = bundle.manifest.period_seconds
    series = read_series(
        data / "SMD" / f"{MACHINES[bundle.manifest.name]}.npz", period_seconds=period
    )
    [scored] = score_series(Fold(bundle), [series])
    return incidents_of(bundle, series, scored)


def _counts(incidents: Sequence[Incident]) -> list[Found]:
    return [
        {
            "entity": entity,
            "model": own[0].bundle.title,
            "incidents": len(own),
            "labelled": sum(one.is_labelled for one in own),
            "first_cause_culprit": sum(one.is_first_cause_culprit for one in own),
            "chance": sum(one.chance for one in own if one.is_labelled),
            "false": sum(not one.is_labelled for one in own),
            "far_from_labels": sum(one.is_far_from_labels for one in own),
            "first_cause_outside_band": sum(one.is_first_cause_outside_band for one in own),
        }
        for entity in MACHINES.values()
        if (own := [one for one in incidents if one.series.entity == entity])
    ]


def _described(incident: Incident) -> Found:
    alert = opening_alert(Fold(incident.bundle), incident)
    names = incident.series.dimensions
    culprits = {names[dimension] for dimension in incident.culprits}
    return {
        "rows": [incident.first, incident.last],
        "anomalies": int(incident.told[-1].incident["anomalies"]),
        "peak_score": incident.peak_score,
        "peak_severity": incident.peak_severity,
        "p_value": float(incident.scored.p_value[incident.first]),
        "dimensions": len(names),
        "labelled": [[one.start, one.end] for one in incident.segments],
        "culprits": [name for name in names if name in culprits],
        "causes": [
            {
                **msgspec.to_builtins(cause),
                "incident_share": float(incident.shares[names.index(cause.dimension)]),
                "is_culprit": cause.dimension in culprits,
            }
            for cause in alert.causes
        ],
        "alert": msgspec.to_builtins(alert),
    }


def _lines(name: str, found: Found) -> Iterator[str]:
    if name == "machines":
        return _machines(found["machines"])
    if name == "alert":
        return _alert(found["incidents"]["find"]["alert"])
    return _incident(found["incidents"][name])


def _machines(machines: Sequence[Found]) -> Iterator[str]:
    yield "| machine | incidents | touch a label | name a culprit first | false | far from labels |"
    yield "|---|---:|---:|---:|---:|---:|"
    for one in machines:
        counts = ("incidents", "labelled", "first_cause_culprit", "false", "far_from_labels")
        yield f"| {one['entity']} | {' | '.join(str(one[name]) for name in counts)} |"
    total = {name: sum(one[name] for one in machines) for name in machines[0] if name not in WORDS}
    yield ""
    yield (
        f"Of the {total['labelled']} alerts that touch a label, "
        f"{total['first_cause_culprit'] / total['labelled']:.0%} name a labelled culprit first; a "
        f"dimension drawn at random would be one in {total['chance'] / total['labelled']:.0%}. Of "
        f"the first causes of all {total['incidents']} alerts, "
        f"{total['first_cause_outside_band']} are further from `expected` than `band`."
    )


def _alert(alert: Found) -> Iterator[str]:
    causes = alert["causes"]
    head = json.dumps(alert | {"causes": 0}, ensure_ascii=False, indent=1)
    lines = ",\n".join(f"  {json.dumps(cause)}" for cause in causes[:SHOWN_IN_JSON])
    more = ",\n  ..." if len(causes) > SHOWN_IN_JSON else ""
    yield "```json"
    yield head.replace('"causes": 0', f'"causes": [\n{lines}{more}\n ]')
    yield "```"


def _incident(one: Found) -> Iterator[str]:
    alert, (first, last) = one["alert"], one["rows"]
    span = f"point {first}" if first == last else f"points {first} to {last}"
    yield (
        f"{alert['entity']}, {span} of the test half, {_counted(one['anomalies'], 'anomaly')}. "
        f"Opened at score {alert['score']:.2f} and severity {alert['severity']:.2f} "
        f"(p = {one['p_value']:.2g}), peak score {one['peak_score']:.2f}. {_labels(one)}"
    )
    yield ""
    yield "| cause | value | expected | band | share | of the whole incident | culprit |"
    yield "|---|---:|---:|---:|---:|---:|---|"
    for cause in one["causes"]:
        numbers = (f"{cause[name]:.4f}" for name in ("value", "expected", "band"))
        shares = (f"{cause[name]:.0%}" for name in ("share", "incident_share"))
        culprit = "yes" if cause["is_culprit"] else "no"
        cells = (f"`{cause['dimension']}`", *numbers, *shares, culprit)
        yield f"| {' | '.join(cells)} |"


def _labels(one: Found) -> str:
    if not one["labelled"]:
        return "No point of it is labelled."
    spans = " and ".join(f"{start} to {end}" for start, end in one["labelled"])
    culprits = one["culprits"]
    names = ", ".join(f"`{name}`" for name in culprits)
    listed = f": {names}" if len(culprits) <= CULPRITS_LISTED else f" of {one['dimensions']}"
    return f"Labelled: points {spans}, {_counted(len(culprits), 'culprit')}{listed}."


def _counted(count: int, noun: str) -> str:
    plural = "anomalies" if noun == "anomaly" else f"{noun}s"
    return f"{count} {noun if count == 1 else plural}"


if __name__ == "__main__":
    typer.run(main)
