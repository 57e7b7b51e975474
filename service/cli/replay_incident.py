"""`gaugewatch replay-incident`: score the rows of one incident again, bit for bit."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from service.errors import BadInput, GaugewatchError
from service.scoring.bundle import VERSION_CHARACTERS, load_bundle
from service.scoring.fold import Fold
from service.settings import BUNDLES
from service.stream.reader import Reader
from service.stream.replay import Replayed, read_file, replay


def replay_incident(
    file: Annotated[Path, typer.Argument(help="As `GET /v1/incidents/{incident}/file` gave it.")],
    bundles: Annotated[Path, typer.Option(help="Folder of bundles.")] = BUNDLES,
) -> None:
    """Show an incident point by point, and check that it comes out as it was kept."""
    kept = read_file(file)
    version = kept.digest[:VERSION_CHARACTERS]
    found = sorted(bundles.glob(f"*/{version}/bundle.json"))
    if not found:
        raise BadInput(f"expected version {version}, which scored it, in {bundles}; found none")
    fold = Fold(load_bundle(found[0].parent))
    replayed = replay(kept, fold)
    _print(replayed, fold, entity=kept.incident.entity)
    if not kept.is_whole:
        typer.echo("its last rows were not kept", err=True)
    if replayed.differing:
        count = len(replayed.differing)
        raise GaugewatchError(f"{count} rows do not come out as they were kept")
    if not replayed.is_redecided:
        typer.echo(
            "the policy changed while it was open; what was decided is shown as it was", err=True
        )
    typer.echo(f"{len(replayed.kept)} rows, equal bit for bit")


def _print(replayed: Replayed, fold: Fold, *, entity: str) -> None:
    table = Table("time", "score", "severity", "anomaly", "incident", "causes")
    reader = Reader(fold)
    for verdict in reader.verdicts([entity] * len(replayed.again), replayed.again):
        table.add_row(
            f"{datetime.fromtimestamp(verdict.timestamp_ms / 1000, UTC):%Y-%m-%d %H:%M:%S}",
            "-" if verdict.score is None else f"{verdict.score:.2f}",
            "-" if verdict.severity is None else f"{verdict.severity:.1f}",
            "yes" if verdict.is_anomaly else "",
            str(verdict.transition) if isinstance(verdict.transition, str) else "",
            ", ".join(f"{one.dimension} {one.share:.0%}" for one in verdict.contributions[:3]),
        )
    Console(soft_wrap=True).print(table)
