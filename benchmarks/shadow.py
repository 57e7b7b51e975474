"""A shadow at work, for `docs/models.md`: `slmr` silently beside `gru_vae` on a real machine.

    python -m benchmarks.shadow --data ../shared/data

Starts a real service on the shipped bundles, activates one version, lets the other shadow it, posts
the test half of the machine, and asks the service for its report. A shadow tells nobody its
verdicts, so those of the picture are scored offline, from the same bundle and the same points; the
correlation of what is drawn must be the one that was reported. Fills the page between
`<!-- figures:NAME -->` and `<!-- /figures -->`.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks import figures
from benchmarks.shadow_picture import Said, draw
from benchmarks.shadow_service import served
from service.scoring.bundle import Bundle, load_bundle
from service.scoring.fold import Fold
from service.scoring.offline import score_series
from service.scoring.series import Series, read_series
from service.stream.shadow import KEPT_PAIRS

PAGE = Path("docs/models.md")
PICTURE = Path("docs/pictures/shadow.png")
RESULTS = Path("benchmarks/results/shadow.json")
NAME, MACHINE = "smd-machine-2-1", "machine-2-1"
ACTIVE, SHADOW = "gru_vae", "slmr"
MEASURED = ("smd-machine-1-6", "smd-machine-2-1", "simulated-fleet")
AGREEMENT = 1e-3  # of correlations, reported and drawn

Found = dict[str, Any]


def main(
    data: Annotated[Path, typer.Option(help="Folder that holds SMD/.")],
    bundles: Annotated[Path, typer.Option(help="Folder of bundles.")] = Path("exported_models"),
    output: Annotated[Path, typer.Option(help="Where the figures go.")] = RESULTS,
    picture: Annotated[Path, typer.Option(help="Where the picture goes.")] = PICTURE,
    points: Annotated[int | None, typer.Option(help="Only so many; leaves the page.")] = None,
) -> None:
    """Replay a machine under a shadow, compare, draw, and fill the page."""
    versions = {one.manifest.model: one for one in _versions(bundles / NAME)}
    active, shadow = versions[ACTIVE], versions[SHADOW]
    period = active.manifest.period_seconds
    series = _first(read_series(data / "SMD" / f"{MACHINE}.npz", period_seconds=period), points)
    said, report = served(active, shadow, series)
    other = _scored(shadow, series)
    _check(report, said, other)
    output.parent.mkdir(parents=True, exist_ok=True)
    found = {"machine": MACHINE, "report": report, "versions": _measures(bundles)}
    output.write_text(json.dumps(found, indent=1) + "\n")
    draw(picture, series, (said, other), report)
    if points is None:
        PAGE.write_text(filled(PAGE.read_text(), found))


def filled(text: str, found: Found) -> str:
    """The page with its figures up to date."""
    return figures.filled(text, lambda name: _lines(name, found))


def _versions(folder: Path) -> list[Bundle]:
    return [load_bundle(path.parent) for path in sorted(folder.glob("*/bundle.json"))]


def _first(series: Series, points: int | None) -> Series:
    label = None if series.label is None else series.label[:points]
    return replace(
        series,
        timestamps_ms=series.timestamps_ms[:points],
        values=series.values[:points],
        label=label,
    )


def _scored(bundle: Bundle, series: Series) -> Said:
    [scored] = score_series(Fold(bundle), [series])
    return Said(bundle.manifest.model, scored.score, scored.severity, scored.is_anomaly)


def _check(report: Found, active: Said, shadow: Said) -> None:
    """Raise where what is drawn is not what was reported."""
    pairs = np.stack([active.score, shadow.score, active.severity, shadow.severity])
    pairs = pairs[:, np.isfinite(pairs).all(axis=0)][:, -KEPT_PAIRS:]
    ranks = pairs.argsort(axis=1, kind="stable").argsort(axis=1, kind="stable")
    drawn = {
        "score_correlation": np.corrcoef(ranks[0], ranks[1])[0, 1],
        "severity_correlation": np.corrcoef(ranks[2], ranks[3])[0, 1],
    }
    wrong = {name: v for name, v in drawn.items() if not abs(v - report[name]) <= AGREEMENT}
    if wrong:
        raise RuntimeError(f"the shadow drawn is not the one reported: {wrong} of {report}")


def _lines(name: str, found: Found) -> Iterator[str]:
    return _report_lines(found["report"]) if name == "shadow" else _version_lines(found["versions"])


def _report_lines(report: Found) -> Iterator[str]:
    """The report as a table."""
    active, shadow = (report[who].split("/")[1] for who in ("active", "shadow"))
    yield f"| | `{ACTIVE}`, active | `{SHADOW}`, shadow | both |"
    yield "|---|---:|---:|---:|"
    yield f"| version | {active} | {shadow} | |"
    yield f"| points scored | | | {report['compared']:,} |"
    for title, kind, both in (
        ("points flagged", "flagged", "both"),
        ("incidents opened", "incidents", "together"),
    ):
        names = (f"{kind}_{which}" for which in ("active", "shadow", both))
        yield f"| {title} | {' | '.join(str(report[one]) for one in names)} |"
    for kind in ("score", "severity"):
        yield f"| rank correlation of {kind} | | | {report[f'{kind}_correlation']:.3f} |"


def _version_lines(versions: list[Found]) -> Iterator[str]:
    """AP and VUS-PR of every version, and of the PCA floor."""
    yield f"| | {' | '.join(f'{name}: AP | VUS-PR' for name in MEASURED)} |"
    yield f"|---|{'---:|' * 2 * len(MEASURED)}"
    models = sorted({one["model"] for one in versions})
    rows = [("PCA, squared residual", "pca", models[0])]
    rows += [(f"`{model}`", "bundle", model) for model in models]
    rows += [(f"`{model}`, untrained network", "untrained", model) for model in models]
    for title, row, model in rows:
        own = {one["name"]: one[row] for one in versions if one["model"] == model}
        cells = [
            f"{own[name][measure]:.3f}" if name in own else "-"
            for name in MEASURED
            for measure in ("average_precision", "vus_pr")
        ]
        yield f"| {title} | {' | '.join(cells)} |"


def _measures(bundles: Path) -> list[Found]:
    """Of every version of the machines, as measured when it was made, and of their floor."""
    return [
        {
            "name": name,
            "model": bundle.manifest.model,
            "version": bundle.manifest.version,
            **{row: bundle.manifest.metrics[row] for row in ("bundle", "untrained", "pca")},
        }
        for name in MEASURED
        for bundle in _versions(bundles / name)
    ]


if __name__ == "__main__":
    typer.run(main)
