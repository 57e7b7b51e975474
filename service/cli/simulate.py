"""`gaugewatch simulate`: a fleet with faults, as files."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from service.errors import BadInput
from service.simulator import FleetConfig, simulate_fleet, write_csv, write_npz


def simulate(
    output: Annotated[Path, typer.Option(help="Folder to write <entity>.npz into.")],
    entities: Annotated[int, typer.Option(min=1, max=10_000)] = 8,
    train_points: Annotated[int, typer.Option(min=0)] = 4320,
    test_points: Annotated[int, typer.Option(min=1)] = 1440,
    faults_per_entity: Annotated[int, typer.Option(min=0)] = 4,
    seed: Annotated[int, typer.Option(help="Of the noise and the faults.")] = 0,
    fleet_seed: Annotated[int, typer.Option(help="Of the machines themselves.")] = 0,
    csv: Annotated[Path | None, typer.Option(help="Folder to write <entity>.csv into.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Write a simulated fleet with labelled faults: NPZ, and CSV if asked."""
    try:
        fleet = simulate_fleet(
            FleetConfig(
                seed=seed,
                fleet_seed=fleet_seed,
                entities=entities,
                train_points=train_points,
                test_points=test_points,
                faults_per_entity=faults_per_entity,
            )
        )
    except ValueError as error:
        raise BadInput(str(error)) from None
    write_npz(fleet, output)
    if csv is not None:
        write_csv(fleet, csv)
    faults = [(entity.name, fault) for entity in fleet for fault in entity.faults]
    if as_json:
        listed = [
            {"entity": name, "kind": f.kind, "start": f.start, "end": f.end, "culprits": f.names}
            for name, f in faults
        ]
        typer.echo(json.dumps({"entities": len(fleet), "folder": str(output), "faults": listed}))
        return
    table = Table("entity", "fault", "start", "end", "culprits", title=f"{output}")
    for name, fault in faults:
        table.add_row(name, fault.kind, str(fault.start), str(fault.end), ", ".join(fault.names))
    Console(markup=False).print(table)
