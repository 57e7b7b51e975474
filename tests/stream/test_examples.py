"""Series at hand: simulated for whom they fit, and files of whoever puts them there."""

import json
import os
import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest

from service.errors import UnknownBundle, UnknownExample
from service.scoring.series import Series
from service.simulator import DIMENSION_NAMES, simulate_fleet
from service.simulator.shipped import EXAMPLES
from service.stream import examples as examples_module
from service.stream.example_series import ExampleSummary
from service.stream.examples import Examples
from service.stream.models import Models
from tests.builders import DIMENSIONS, another_version, series_like

SHIPPED = Path(__file__).parents[2] / "exported_models"


@pytest.fixture
def bundles(bundle_folder: Path, tmp_path: Path) -> Path:
    shutil.copytree(bundle_folder / "tiny", tmp_path / "bundles" / "tiny")
    return tmp_path / "bundles"


def examples_of(bundles: Path, folder: Path | None = None, *, max_points: int = 100) -> Examples:
    return Examples(Models(bundles, default=None), folder, max_points=max_points)


def version_of(bundles: Path) -> Path:
    return bundles / "tiny" / (bundles / "tiny" / "current").read_text().strip()


def write(path: Path, series: Series, names: str = "abcd", **more: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    stamps = series.timestamps_ms / 1000
    arrays = {"test": series.values, "timestamps": stamps, "dimensions": np.array([*names])}
    np.savez(path, **arrays, **more)  # type: ignore[arg-type]
    return path


def told(examples: Examples) -> list[tuple[str | None, int, int]]:
    return [(one.entity, one.points, one.events) for one in examples.listed()]


def test_a_bundle_without_any_is_listed_once(bundles: Path, tmp_path: Path) -> None:
    for folder in (None, tmp_path / "nowhere"):
        [only] = examples_of(bundles, folder).listed()
        assert only == ExampleSummary("tiny", None, 0, 60.0, 0, only.description)


def test_files_beside_a_version_and_in_the_folder_are_examples(
    bundles: Path, tmp_path: Path
) -> None:
    long, short = series_like("alpha", 40), series_like("beta", 10)
    label = np.zeros(40, np.uint8)
    label[[3, 4, 9]] = 1
    write(version_of(bundles) / "examples" / "alpha.npz", long, "dcba", label=label)
    write(tmp_path / "examples" / "tiny" / "alpha.npz", short)  # the other one counts
    rows = "1750000001000,9,1,2,3,4,0,\n1750000002000,9,1,2,,4,1,d|a\n"
    text = f"timestamp_ms,x,b,a,d,c,label,culprits\n{rows}"
    (tmp_path / "examples" / "tiny" / "web.csv").write_text(text)
    (tmp_path / "examples" / "tiny" / "notes.txt").write_text("x")
    examples = examples_of(bundles, tmp_path / "examples")
    assert told(examples) == [("alpha", 40, 2), ("web", 2, 1)]
    alpha = examples.example("tiny", "alpha")
    assert (alpha.series.values == long.values[:, ::-1]).all()
    assert alpha.series.dimensions == DIMENSIONS
    times = long.timestamps_ms.tolist()
    spans = [(one.start_ms, one.end_ms, one.kind, one.culprits) for one in alpha.faults]
    assert spans == [(times[3], times[4], None, []), (times[9], times[9], None, [])]
    document, last = json.loads(examples.example("tiny", "web").encode()), 1_750_000_002_000
    assert document == {
        "entity": "web",
        "timestamp_ms": [1_750_000_001_000, 1_750_000_002_000],
        "dimensions": [*DIMENSIONS],
        "values": [[2.0, 1.0, 4.0, 3.0], [2.0, 1.0, 4.0, None]],
        "label": [0, 1],
        "faults": [{"start_ms": last, "end_ms": last, "kind": None, "culprits": ["a", "d"]}],
    }


def test_what_does_not_fit_is_left_out(
    bundles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "examples"
    write(folder / "tiny" / "others.npz", series_like("a", 5), "wxyz")
    write(folder / "tiny" / "long.npz", series_like("a", 101))
    write(folder / "huge" / "alpha.npz", series_like("a", 5))
    (folder / "tiny" / "words.csv").write_text("no,series\n")
    (folder / "tiny" / "folder.csv").mkdir()
    (folder / "tiny" / "gone.csv").symlink_to(folder / "nothing")
    examples = examples_of(bundles, folder)
    assert told(examples) == told(examples) == [(None, 0, 0)]
    for entity in ("others", "long", "gone", "folder", "../tiny/long", ""):
        with pytest.raises(UnknownExample):
            examples.example("tiny", entity)
    with pytest.raises(UnknownBundle):
        examples.example("huge", "alpha")
    write(folder / "tiny" / "good.npz", series_like("a", 5))
    assert told(examples) == [("good", 5, 0)]
    monkeypatch.setattr(examples_module, "MAX_FILE_BYTES", 10)
    assert told(examples_of(bundles, folder)) == [(None, 0, 0)]


def test_a_file_is_read_again_when_it_changed_and_few_are_kept(
    bundles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examples_module, "MAX_KEPT", 2)
    monkeypatch.setattr(examples_module, "MAX_FILES", 4)
    folder = tmp_path / "tiny"
    for number in range(6):
        write(folder / f"e{number}.npz", series_like("a", 5 + number))
    examples = examples_of(bundles, tmp_path)
    assert told(examples) == [(f"e{number}", 5 + number, 0) for number in range(4)]
    assert len(examples._read) == 2
    kept = examples.example("tiny", "e3")
    assert examples.example("tiny", "e3") is kept
    os.utime(write(folder / "e3.npz", series_like("a", 50)), ns=(1, 1))
    assert told(examples)[3] == ("e3", 50, 0)
    assert len(examples.example("tiny", "e3").series.values) == 50


def test_another_version_has_other_files(bundles: Path) -> None:
    write(version_of(bundles) / "examples" / "alpha.npz", series_like("a", 7))
    models = Models(bundles, default=None)
    examples = Examples(models, None, max_points=100)
    assert told(examples) == [("alpha", 7, 0)]
    version = another_version(bundles)
    write(bundles / "tiny" / version / "examples" / "beta.npz", series_like("b", 8))
    models.adopt(9, models.serving.configuration.activated("tiny", version))
    assert ("beta", 8, 0) in told(examples)


@pytest.mark.slow
def test_machines_of_the_simulated_fleet_are_examples_of_who_was_trained_on_them() -> None:
    examples = examples_of(SHIPPED)
    listed = examples.listed()
    simulated = [one for one in listed if one.bundle == "simulated-fleet"]
    assert [one.entity for one in simulated] == [f"node-{number:02d}" for number in range(1, 9)]
    assert {(one.points, one.period_seconds, one.events) for one in simulated} == {(2880, 60.0, 7)}
    assert all("level shift" in one.description for one in simulated)
    others = [one.entity for one in listed if one.bundle != "simulated-fleet"]
    assert others == [None, None]
    found = examples.example("simulated-fleet", "node-03")
    machine = simulate_fleet(EXAMPLES)[2]
    assert found.series.dimensions == DIMENSION_NAMES
    assert np.array_equal(found.series.values, machine.test, equal_nan=True)
    document = msgspec.json.decode(found.encode())
    times = machine.test_timestamps_ms.tolist()
    assert document["timestamp_ms"] == times
    assert document["label"] == machine.label.astype(int).tolist()
    for told_of, fault in zip(document["faults"], machine.faults, strict=True):
        assert told_of["kind"] == fault.kind
        assert (told_of["start_ms"], told_of["end_ms"]) == (times[fault.start], times[fault.end])
        assert told_of["culprits"] == list(fault.names)
    assert examples.example("simulated-fleet", "node-03").encode() == found.encode()
    with pytest.raises(UnknownExample):
        examples.example("simulated-fleet", "node-09")
