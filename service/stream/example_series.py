"""One example: a series, what is known of its faults, and both as they go over the wire."""

from dataclasses import dataclass
from pathlib import Path

import msgspec
from msgspec import UNSET, Struct, UnsetType

from service.errors import BadSeries
from service.scoring.bundle import Bundle
from service.scoring.decisions import runs
from service.scoring.series import Series, read_series
from service.simulator import SimulatedEntity


class KnownFault(Struct, frozen=True):
    """A stretch that is known to be anomalous, first and last point included."""

    start_ms: int
    end_ms: int
    kind: str | None  # null: the file does not say
    culprits: list[str]


class ExampleSummary(Struct, frozen=True):
    """An example in a list; without an entity: there is none for this bundle."""

    bundle: str
    entity: str | None
    points: int
    period_seconds: float
    events: int
    description: str


class ExampleSeries(Struct, frozen=True):
    """A series as `POST /v1/detect` takes it; of NaN msgspec makes null."""

    entity: str
    timestamp_ms: list[int]
    dimensions: tuple[str, ...]
    values: list[list[float]]
    label: list[int] | UnsetType
    faults: list[KnownFault]


@dataclass(frozen=True)
class Example:
    """A series of a bundle's dimensions, in their order."""

    series: Series
    faults: list[KnownFault]
    description: str

    def summary(self, bundle: Bundle) -> ExampleSummary:
        """As it is listed."""
        manifest = bundle.manifest
        return ExampleSummary(
            bundle=manifest.name,
            entity=self.series.entity,
            points=len(self.series.values),
            period_seconds=manifest.period_seconds,
            events=len(self.faults),
            description=self.description,
        )

    def encode(self) -> bytes:
        """All of it, in JSON."""
        series = self.series
        label = UNSET if series.label is None else series.label.astype(int).tolist()
        return msgspec.json.encode(
            ExampleSeries(
                entity=series.entity,
                timestamp_ms=series.timestamps_ms.tolist(),
                dimensions=series.dimensions,
                values=series.values.tolist(),
                label=label,
                faults=self.faults,
            )
        )


def no_example(bundle: Bundle) -> ExampleSummary:
    """What a bundle is listed with that has none."""
    manifest = bundle.manifest
    text = "no series at hand; a file in the folder of examples would be one"
    return ExampleSummary(manifest.name, None, 0, manifest.period_seconds, 0, text)


def example_in(path: Path, bundle: Bundle, *, max_points: int) -> Example:
    """What a file holds. Raises BadSeries."""
    manifest = bundle.manifest
    columns, period = manifest.dimensions, manifest.period_seconds
    series = read_series(path, columns=columns, period_seconds=period)
    if len(series.values) > max_points:
        raise BadSeries(f"{path}: expected at most {max_points} points, came {len(series.values)}")
    return Example(series, _faults_of(series), f"file {path.name}")


def example_of(machine: SimulatedEntity, bundle: Bundle) -> Example:
    """The test part of a simulated machine, with its faults."""
    names, times = bundle.manifest.dimensions, machine.test_timestamps_ms.tolist()
    chosen = [machine.dimensions.index(name) for name in names]
    values = machine.test[:, chosen]
    series = Series(machine.name, names, machine.test_timestamps_ms, values, machine.label, ())
    faults = [
        KnownFault(times[fault.start], times[fault.end], fault.kind, list(fault.names))
        for fault in machine.faults
    ]
    kinds = ", ".join(fault.kind.replace("_", " ") for fault in machine.faults)
    return Example(series, faults, f"a simulated machine, days it was not trained on: {kinds}")


def _faults_of(series: Series) -> list[KnownFault]:
    """What a file says of its labelled events; of what kind they are it does not say."""
    times, names = series.timestamps_ms.tolist(), series.dimensions
    if series.segments:
        return [
            KnownFault(times[one.start], times[one.end], None, [names[i] for i in one.dimensions])
            for one in series.segments
        ]
    events = [] if series.label is None else runs(series.label)
    return [KnownFault(times[start], times[end], None, []) for start, end in events]
