"""`gaugewatch replay`: a file through a running service, as if it happened now."""

import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from service.cli.client import DEFAULT_URL, Client
from service.cli.files import Part, progress_bar, read_all
from service.cli.options import in_a_folder, positive
from service.errors import BadInput
from service.scoring.series import Series
from service.stream.messages import Point, Verdict


def replay(
    file: Annotated[Path, typer.Argument(help="NPZ, CSV, Parquet or JSON, or a folder.")],
    url: Annotated[str, typer.Option(help="Where the service listens.")] = DEFAULT_URL,
    part: Annotated[Part, typer.Option(help="Which part of an NPZ.")] = Part.TEST,
    entity: Annotated[str | None, typer.Option(help="Default: the name of the file.")] = None,
    period_seconds: Annotated[
        float, typer.Option(help="Where rows have no timestamps.", callback=positive)
    ] = 60.0,
    batch: Annotated[int, typer.Option(min=1, max=512, help="Points per request.")] = 64,
    rate: Annotated[float, typer.Option(min=0, help="Points per second; 0: no limit.")] = 0.0,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only so many points of each entity.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(help="NPZ of the verdicts, of one entity.", callback=in_a_folder),
    ] = None,
    key: Annotated[str | None, typer.Option(envvar="GAUGEWATCH_KEY", help="Bearer key.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Post the points of files, in order of time, and count the verdicts."""
    fleet = read_all(file, part=part, period_seconds=period_seconds)
    if entity is not None and len(fleet) > 1:
        raise BadInput("--entity renames one series; the folder holds several")
    names = [entity or series.entity for series in fleet]
    points = list(_in_time(fleet, names, limit=limit))
    verdicts: list[Verdict] = []
    start = time.perf_counter()
    with Client(url, key=key) as client, progress_bar(is_shown=not as_json) as progress:
        task = progress.add_task("replaying", total=len(points))
        for first in range(0, len(points), batch):
            verdicts += client.post(points[first : first + batch])
            progress.update(task, completed=len(verdicts))
            if rate:
                time.sleep(max(0.0, start + len(verdicts) / rate - time.perf_counter()))
    if output is not None:
        write_verdicts(output, verdicts)
    _report(verdicts, seconds=time.perf_counter() - start, as_json=as_json)


def points_of(series: Series, name: str, *, limit: int | None = None) -> Iterator[Point]:
    """The points of a series; NaN is a missing value."""
    times, values = series.timestamps_ms[:limit].tolist(), series.values[:limit].tolist()
    for timestamp_ms, row in zip(times, values, strict=True):
        yield Point(name, timestamp_ms, [None if v != v else v for v in row])


def write_verdicts(path: Path, verdicts: Sequence[Verdict]) -> None:
    """The verdicts of one entity as `gaugewatch score` writes them, without the dimensions."""

    def column(name: str) -> list[float]:
        values = (getattr(verdict, name) for verdict in verdicts)
        return [np.nan if value is None else value for value in values]

    np.savez_compressed(
        path,
        allow_pickle=False,
        score=np.array(column("score")),
        severity=np.array(column("severity")),
        p_value=np.array(column("p_value")),
        is_anomaly=np.array([verdict.is_anomaly for verdict in verdicts]),
        status=np.array([verdict.status for verdict in verdicts]),
    )


def _in_time(fleet: Sequence[Series], names: Sequence[str], *, limit: int | None) -> list[Point]:
    points = [
        point
        for series, name in zip(fleet, names, strict=True)
        for point in points_of(series, name, limit=limit)
    ]
    return sorted(points, key=lambda point: point.timestamp_ms)


def _report(verdicts: Sequence[Verdict], *, seconds: float, as_json: bool) -> None:
    statuses = Counter(verdict.status for verdict in verdicts)
    summary = {
        "points": len(verdicts),
        "seconds": round(seconds, 3),
        "statuses": dict(statuses),
        "anomalies": sum(verdict.is_anomaly for verdict in verdicts),
        "incidents": sum(verdict.transition == "opened" for verdict in verdicts),
    }
    if as_json:
        typer.echo(json.dumps(summary))
        return
    table = Table("status", "points")
    for status, count in statuses.most_common():
        table.add_row(status, str(count))
    console = Console(markup=False)
    console.print(f"{len(verdicts)} points in {seconds:.1f} s")
    console.print(table)
    console.print(f"{summary['anomalies']} anomalous, {summary['incidents']} incidents opened")
