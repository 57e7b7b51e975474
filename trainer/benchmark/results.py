"""The files of a benchmark folder: what was measured, and the traces that pictures need.

results/<suite>/<row>/<seed>.json   measures by entity; written last, so that it stands for both
scores/<suite>/<row>/<seed>.npz     severity, score, flags and labels by entity
bundles/<suite>/<row>/<seed>/<entity>/fit.json   beside the bundle it tells of
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from urllib.parse import quote

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from trainer.benchmark.disk import digest_of, digest_of_folder, write_whole
from trainer.measures.events import BoolArray, FloatArray

FORMAT = 1


class Frozen(BaseModel):
    """A file with exactly these fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class EntityResult(Frozen):
    """One case of a suite, measured."""

    is_tuning: bool
    fitted_as: str  # the entity it was fitted as: cases of one entity are not independent
    points: int
    measures: dict[str, float]
    incidents_per_day: dict[float, float] = Field(
        default={}, description="budget -> false ones observed"
    )


class RunResult(Frozen):
    """One row on one suite with one seed."""

    format: int = FORMAT
    fingerprint: str
    suite: str
    suite_title: str
    source: str
    row: str
    row_title: str
    is_floor: bool
    seed: int
    seconds: float = Field(description="to score and measure")
    fit_seconds: float
    code: str = Field(description="digest of the source that answered")
    scores: str = Field(description="sha256 of the traces")
    entities: dict[str, EntityResult]


class FitRecord(Frozen):
    """A finished bundle."""

    format: int = FORMAT
    fingerprint: str
    bundle: str = Field(description="its folder, from here")
    digest: str
    seconds: float


@dataclass(frozen=True)
class Trace:
    """What a row said of one case, point by point."""

    severity: FloatArray  # (time,) float32 on disk
    score: FloatArray
    is_anomaly: BoolArray | None
    label: BoolArray


def result_path(output: Path, suite: str, row: str, seed: int) -> Path:
    """Where the measures of one run are."""
    return output / "results" / suite / row / f"{seed}.json"


def traces_path(output: Path, suite: str, row: str, seed: int) -> Path:
    """Where the traces of one run are."""
    return output / "scores" / suite / row / f"{seed}.npz"


def fit_folder(output: Path, suite: str, row: str, seed: int, entity: str) -> Path:
    """Where the bundle of one entity is."""
    return output / "bundles" / suite / row / str(seed) / quote(entity, safe="")


# ---- bundles


def finished_fit(folder: Path, fingerprint: str) -> FitRecord | None:
    """The record of an undamaged bundle that was made of just this."""
    try:
        record = FitRecord.model_validate_json((folder / "fit.json").read_bytes())
    except (OSError, ValidationError):
        return None
    is_ours = (record.format, record.fingerprint) == (FORMAT, fingerprint)
    bundle = folder / record.bundle
    is_whole = bundle.is_dir() and digest_of_folder(bundle) == record.digest
    return record if is_ours and is_whole else None


# ---- runs


def finished_run(path: Path, traces: Path, fingerprint: str) -> RunResult | None:
    """The measures of an undamaged run of just this."""
    result = read_run(path)
    if result is None or (result.format, result.fingerprint) != (FORMAT, fingerprint):
        return None
    is_whole = traces.is_file() and digest_of(traces.read_bytes()) == result.scores
    return result if is_whole else None


def read_run(path: Path) -> RunResult | None:
    """The measures in a file; None where there are none that can be read."""
    try:
        return RunResult.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def read_runs(output: Path) -> list[RunResult]:
    """Every readable run of this format, by suite, row and seed."""
    found = (read_run(path) for path in (output / "results").glob("*/*/*.json"))
    runs = [one for one in found if one is not None and one.format == FORMAT]
    return sorted(runs, key=lambda one: (one.suite, one.row, one.seed))


# ---- traces


def write_traces(path: Path, traces: Mapping[str, Trace]) -> str:
    """Write them whole; returns the sha256."""
    packed = BytesIO()
    np.savez_compressed(packed, allow_pickle=False, **dict(_arrays(traces)))
    write_whole(path, packed.getvalue())
    return digest_of(packed.getvalue())


def read_trace(path: Path, entity: str) -> Trace | None:
    """The trace of one case; None where there is none that can be read."""
    key = quote(entity, safe="")
    try:
        with np.load(path, allow_pickle=False) as arrays:
            severity = arrays[f"{key}.severity"].astype(np.float64)
            flags = f"{key}.is_anomaly"
            return Trace(
                severity,
                arrays[f"{key}.score"].astype(np.float64),
                _bits(arrays[flags], len(severity)) if flags in arrays else None,
                _bits(arrays[f"{key}.label"], len(severity)),
            )
    except (OSError, KeyError, ValueError):
        return None


def _arrays(traces: Mapping[str, Trace]) -> Iterator[tuple[str, np.ndarray]]:
    for entity, trace in traces.items():
        key = quote(entity, safe="")
        yield f"{key}.severity", trace.severity.astype(np.float32)
        yield f"{key}.score", trace.score.astype(np.float32)
        yield f"{key}.label", np.packbits(trace.label)
        if trace.is_anomaly is not None:
            yield f"{key}.is_anomaly", np.packbits(trace.is_anomaly)


def _bits(packed: np.ndarray, count: int) -> BoolArray:
    return np.unpackbits(packed, count=count).astype(bool)
