import json
import sys
from pathlib import Path

import numpy as np
import pytest

from service.scoring.bundle import load_bundle, write_manifest
from service.scoring.fold import Fold
from service.scoring.offline import score_series
from service.scoring.series import read_series
from tests.builders import DIMENSIONS, ENTITIES, loaded_tiny_bundle, values_like
from trainer.cli import main
from trainer.config import preset
from trainer.fit import points_needed

CULPRIT = 2
FIT = ("--epochs", "2", "--period-seconds", "60", "--seed", "3")


class Ran:
    """What a command left behind."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> "Run":
    return Run(monkeypatch, capsys)


class Run:
    """Runs `gaugewatch-trainer` in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys

    def __call__(self, *arguments: object) -> Ran:
        self._monkeypatch.setattr(sys, "argv", ["gaugewatch-trainer", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        out, err = self._capsys.readouterr()
        return Ran(int(end.value.code or 0), out, err)


def npz(folder: Path, entity: str = "alpha", *, is_labelled: bool = True) -> Path:
    """Two halves of `values_like`, the test half with one fault."""
    test = values_like(entity, 500, seed=5)
    label = np.zeros(500, np.uint8)
    test[300:320, CULPRIT] += 3.0
    label[300:320] = 1
    known = {
        "label": label,
        "interpretation": np.array(json.dumps([[300, 319, [CULPRIT]]])),
    }
    path = folder / f"{entity}.npz"
    np.savez(
        path,
        allow_pickle=False,
        train=values_like(entity, 1600, seed=4),
        test=test,
        dimensions=np.array(DIMENSIONS),
        **(known if is_labelled else {}),
    )
    return path


def is_one_red_line(ran: Ran) -> bool:
    lines = ran.err.strip().splitlines()
    return len(lines) == 1 and lines[0].startswith("error: ")


# ---- what cannot be used


def test_without_a_command_the_help_is_shown(run: Run) -> None:
    ran = run()
    assert "evaluate" in ran.out + ran.err


def test_data_that_are_not_there_are_a_usage_error_in_one_line(run: Run, tmp_path: Path) -> None:
    missing = tmp_path / "missing.npz"
    ran = run("fit", "--data", missing, "--output", tmp_path, "--name", "m", *FIT)
    assert ran.code == 2
    assert is_one_red_line(ran)
    assert "found nothing" in ran.err
    assert ran.out == ""


def test_a_name_no_bundle_may_have_is_refused_before_training(run: Run, tmp_path: Path) -> None:
    ran = run("fit", "--data", npz(tmp_path), "--output", tmp_path, "--name", "No Name", *FIT)
    assert (ran.code, is_one_red_line(ran)) == (2, True)


def test_an_output_that_cannot_be_a_folder_is_refused_before_training(
    run: Run, tmp_path: Path
) -> None:
    data = npz(tmp_path)
    ran = run("fit", "--data", data, "--output", data, "--name", "m", *FIT)
    assert (ran.code, is_one_red_line(ran)) == (2, True)


def test_a_series_too_short_to_train_on_is_a_failure_in_one_line(run: Run, tmp_path: Path) -> None:
    np.savez(tmp_path / "short.npz", allow_pickle=False, train=np.ones((20, 4)))
    output = tmp_path / "out"
    ran = run("fit", "--data", tmp_path / "short.npz", "--output", output, "--name", "m", *FIT)
    assert ran.code == 1
    assert "too short" in ran.err
    assert "Traceback" not in ran.err


def short_npz(folder: Path, entity: str, count: int) -> None:
    halves = {"train": values_like(entity, count, seed=4), "test": values_like(entity, 50, seed=5)}
    np.savez(
        folder / f"{entity}.npz", allow_pickle=False, dimensions=np.array(DIMENSIONS), **halves
    )


@pytest.mark.parametrize("is_per_entity", [False, True])
def test_entities_with_too_few_points_are_left_out_and_named(
    run: Run, tmp_path: Path, *, is_per_entity: bool
) -> None:
    data, output = tmp_path / "data", tmp_path / "out"
    data.mkdir()
    npz(data)
    needed = points_needed(preset("small", model="linear"))
    short_npz(data, "beta", 20)
    short_npz(data, "gamma", needed - 1)
    options = [*FIT[2:], "--model", "linear", "--no-report", "--json"]
    more = ["--per-entity"] if is_per_entity else []
    ran = run("fit", "--data", data, "--output", output, "--name", "m", *options, *more)
    assert ran.code == 0, ran.err
    (bundle,) = json.loads(ran.out)["bundles"]
    assert load_bundle(Path(bundle["folder"])).manifest.entities == ("alpha",)
    warnings = [line for line in ran.err.splitlines() if line.startswith("warning: ")]
    assert [line.split()[1] for line in warnings] == ["beta", "gamma"]
    for line, count in zip(warnings, (20, needed - 1), strict=True):
        assert f"{count} points" in line
        assert f"{needed} " in line


def test_as_many_points_as_are_needed_are_enough(run: Run, tmp_path: Path) -> None:
    needed = points_needed(preset("small", model="linear"))
    short_npz(tmp_path, "alpha", needed)
    options = [*FIT[2:], "--model", "linear", "--no-report", "--json"]
    output = tmp_path / "out"
    ran = run("fit", "--data", tmp_path / "alpha.npz", "--output", output, "--name", "m", *options)
    assert (ran.code, "warning" in ran.err) == (0, False), ran.err


def test_nothing_long_enough_is_a_failure_that_says_what_is_needed(
    run: Run, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    short_npz(data, "alpha", 20)
    short_npz(data, "beta", 100)
    ran = run("fit", "--data", data, "--output", tmp_path / "out", "--name", "m", *FIT)
    assert ran.code == 1
    assert is_one_red_line(ran)
    assert "too short" in ran.err
    assert "beta" in ran.err
    assert "100" in ran.err
    assert str(points_needed(preset("small"))) in ran.err


def test_a_test_half_of_other_dimensions_is_refused_before_training(
    run: Run, tmp_path: Path
) -> None:
    other = tmp_path / "other.csv"
    other.write_text("a,b\n1,2\n3,4\n")
    arguments = ("--data", npz(tmp_path), "--output", tmp_path, "--name", "m", *FIT)
    ran = run("fit", *arguments, "--test-data", other)
    assert (ran.code, is_one_red_line(ran)) == (2, True)
    assert "lacks ['c', 'd']" in ran.err


@pytest.mark.parametrize("option", [("--preset", "huge"), ("--epochs", "-1"), ("--model", "x")])
def test_an_option_out_of_range_is_a_usage_error(
    run: Run, tmp_path: Path, option: tuple[str, str]
) -> None:
    arguments = ("--data", tmp_path, "--output", tmp_path, "--name", "m", *FIT, *option)
    assert run("fit", *arguments).code == 2


@pytest.mark.parametrize(
    ("model", "option", "told"),
    [
        ("blind_spot", "--linear-skip", "is_linear_skip"),
        ("linear", "--no-linear-skip", "is_linear_skip"),
        ("linear", "--preset=paper", "paper"),
        ("linear", "--untrained", "no network"),
    ],
)
def test_an_option_of_another_model_is_refused_before_training(
    run: Run, tmp_path: Path, model: str, option: str, told: str
) -> None:
    ran = run(
        *("fit", "--data", npz(tmp_path), "--output", tmp_path / "out", "--name", "m"),
        *("--period-seconds", "60", "--model", model, option),
    )
    assert (ran.code, is_one_red_line(ran)) == (2, True)
    assert told in ran.err
    assert model in ran.err


@pytest.mark.parametrize("option", [("--workers", "2"), ("--ray", "auto")])
def test_fits_side_by_side_need_a_bundle_per_entity(
    run: Run, tmp_path: Path, option: tuple[str, str]
) -> None:
    ran = run("fit", "--data", tmp_path, "--output", tmp_path, "--name", "m", *FIT, *option)
    assert (ran.code, is_one_red_line(ran)) == (2, True)
    assert "--per-entity" in ran.err


def test_an_unknown_key_of_a_file_is_named_before_training(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text('model = "gru_vae"\nlatnet = 3\n')
    ran = run(
        *("fit", "--data", npz(tmp_path), "--output", tmp_path / "out", "--name", "m"),
        *("--period-seconds", "60", "--config", file),
    )
    assert (ran.code, is_one_red_line(ran)) == (2, True)
    assert f"{file}, line 2: gru_vae has no knob 'latnet'; near it: latent" in ran.err


def test_options_are_printed_for_people_and_for_programs(run: Run) -> None:
    ran = run("options", "--model", "pca")
    assert ran.code == 0
    assert "window_length" in ran.out
    told = {one["name"]: one for one in json.loads(run("options", "--model", "pca", "--json").out)}
    assert told["window_length"] == {
        "name": "window_length",
        "default": "5",
        "allowed": "whole number, >= 1, <= 10",
        "meaning": "points that are flattened",
    }


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_three_ways_in_give_one_bundle(run: Run, tmp_path: Path) -> None:
    file, data = tmp_path / "own.toml", npz(tmp_path, is_labelled=False)
    file.write_text('model = "pca"\nwindow_length = 3\nseed = 2\nmembers = ["raw", "pca"]\n')

    def version(*arguments: object) -> str:
        made = ("--data", data, "--output", tmp_path / "out", "--name", "one", "--no-report")
        ran = run("fit", *made, "--period-seconds", "60", "--json", *arguments)
        assert ran.code == 0, ran.err
        return str(json.loads(ran.out)["bundles"][0]["version"])

    flags = ("--set", "window_length=3", "--seed", "2", "--set", "members=raw,pca")
    first = version("--model", "pca", *flags)
    assert version("--config", file) == first
    assert version("--like", tmp_path / "out" / "one") == first
    assert version("--config", file, "--seed", "3") != first


def test_training_is_refused_where_a_model_has_nothing_to_train(run: Run, tmp_path: Path) -> None:
    arguments = ("--data", npz(tmp_path), "--output", tmp_path, "--name", "m", *FIT)
    ran = run("fit", *arguments, "--model", "linear")
    assert (ran.code, is_one_red_line(ran)) == (2, True)
    assert "epochs" in ran.err


def test_a_bundle_that_is_not_there_is_a_usage_error(run: Run, tmp_path: Path) -> None:
    ran = run("evaluate", tmp_path / "none", "--data", npz(tmp_path))
    assert (ran.code, is_one_red_line(ran)) == (2, True)


def test_a_damaged_bundle_is_a_failure(run: Run, tmp_path: Path) -> None:
    bundle = loaded_tiny_bundle(tmp_path)
    (bundle.folder / "step.onnx").write_bytes(b"damaged")
    ran = run("evaluate", bundle.folder, "--data", npz(tmp_path))
    assert (ran.code, is_one_red_line(ran)) == (1, True)


# ---- evaluate and report, on a bundle that needs no training


def test_evaluate_gives_the_rows_of_bundle_and_floors(run: Run, tmp_path: Path) -> None:
    bundle = loaded_tiny_bundle(tmp_path)
    ran = run("evaluate", bundle.folder, "--data", npz(tmp_path), "--json")
    assert ran.code == 0
    answer = json.loads(ran.out)
    assert answer["bundle"] == bundle.title
    assert list(answer["metrics"]) == ["bundle", "score", "random", "input", "pca"]
    assert answer["metrics"]["bundle"]["event_recall"] == 1.0
    assert "event_recall" not in answer["metrics"]["pca"]
    assert answer["entities"] == {"alpha": answer["metrics"]}
    assert load_bundle(bundle.folder).manifest.metrics == {}


def test_evaluate_shows_a_table(run: Run, tmp_path: Path) -> None:
    bundle = loaded_tiny_bundle(tmp_path)
    ran = run("evaluate", bundle.folder, "--data", npz(tmp_path))
    assert ran.code == 0
    assert "VUS-PR" in ran.out
    assert "random" in ran.out


def test_evaluate_compares_the_thresholds_asked_for(run: Run, tmp_path: Path) -> None:
    bundle, data = loaded_tiny_bundle(tmp_path), npz(tmp_path)
    asked = ("--threshold", "pot", "--threshold", "quantile:0.02", "--threshold", "best-f1")
    ran = run("evaluate", bundle.folder, "--data", data, "--json", *asked)
    assert ran.code == 0, ran.err
    rows = json.loads(ran.out)["thresholds"]
    assert list(rows) == ["service", "pot:0.001", "quantile:0.02", "best-f1"]
    assert all(row["event_recall"] == 1.0 for row in rows.values())
    shown = run("evaluate", bundle.folder, "--data", data, *asked)
    assert "(oracle)" in shown.out
    assert "flagged points" in shown.out


def test_a_threshold_nobody_knows_is_one_red_line(run: Run, tmp_path: Path) -> None:
    bundle = loaded_tiny_bundle(tmp_path)
    ran = run("evaluate", bundle.folder, "--data", npz(tmp_path), "--threshold", "otsu")
    assert (ran.code, is_one_red_line(ran)) == (2, True)


def test_a_threshold_that_needs_a_training_half_is_left_out_aloud(run: Run, tmp_path: Path) -> None:
    bundle, path = loaded_tiny_bundle(tmp_path), tmp_path / "alpha.csv"
    with np.load(npz(tmp_path), allow_pickle=False) as arrays:
        columns = np.column_stack([arrays["test"], arrays["label"]])
    header = ",".join((*DIMENSIONS, "label"))
    np.savetxt(path, columns, delimiter=",", header=header, comments="", fmt="%g")
    ran = run("evaluate", bundle.folder, "--data", path, "--json", "--threshold", "pot")
    assert ran.code == 0, ran.err
    assert list(json.loads(ran.out)["thresholds"]) == ["service"]
    assert "pot:0.001 is left out" in ran.err


def test_evaluate_without_labels_has_nothing_to_say(run: Run, tmp_path: Path) -> None:
    bundle = loaded_tiny_bundle(tmp_path)
    ran = run("evaluate", bundle.folder, "--data", npz(tmp_path, is_labelled=False))
    assert ran.code == 2
    assert "no labels" in ran.err


def test_an_untrained_network_needs_a_bundle_that_tells_how_it_was_trained(
    run: Run, tmp_path: Path
) -> None:
    bundle = loaded_tiny_bundle(tmp_path)
    ran = run("evaluate", bundle.folder, "--data", npz(tmp_path), "--untrained")
    assert (ran.code, is_one_red_line(ran)) == (2, True)
    assert "does not tell how it was trained" in ran.err


def test_an_untrained_network_needs_knobs_that_this_trainer_knows(run: Run, tmp_path: Path) -> None:
    bundle = loaded_tiny_bundle(tmp_path)
    training = {**preset("small").model_dump(exclude_none=True), "hidden": 0}
    write_manifest(bundle.folder, bundle.manifest.model_copy(update={"training": training}))
    ran = run("evaluate", bundle.folder, "--data", npz(tmp_path), "--untrained")
    assert (ran.code, is_one_red_line(ran)) == (2, True)
    told = f"blind_spot cannot have hidden (the manifest of {load_bundle(bundle.folder).title})"
    assert told in ran.err


def test_evaluate_refuses_other_dimensions(run: Run, tmp_path: Path) -> None:
    bundle = loaded_tiny_bundle(tmp_path)
    other = tmp_path / "other.csv"
    other.write_text("a,b,label\n1,2,0\n3,4,1\n")
    ran = run("evaluate", bundle.folder, "--data", other)
    assert (ran.code, is_one_red_line(ran)) == (2, True)


@pytest.mark.slow
def test_report_writes_the_measures_into_the_manifest_and_keeps_the_version(
    run: Run, tmp_path: Path
) -> None:
    bundle = loaded_tiny_bundle(tmp_path)
    ran = run("report", bundle.folder.parent, "--data", npz(tmp_path), "--json")
    assert ran.code == 0
    again = load_bundle(bundle.folder)
    assert again.manifest.version == bundle.manifest.version
    assert again.manifest.metrics["bundle"]["hit_rate_100"] == 1.0
    assert json.loads(ran.out)["report"] == str(bundle.folder / "report.md")
    assert (bundle.folder / "timeline.png").is_file()


# ---- fit


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_fit_leaves_a_bundle_that_is_measured_and_reported(run: Run, tmp_path: Path) -> None:
    output = tmp_path / "bundles"
    arguments = ("--data", npz(tmp_path), "--output", output, "--name", "one", *FIT)
    ran = run("fit", *arguments, "--untrained", "--json")
    assert ran.code == 0, ran.err
    (told,) = json.loads(ran.out)["bundles"]
    bundle = load_bundle(output / "one")
    assert told["version"] == bundle.manifest.version
    assert told["metrics"] == bundle.manifest.metrics
    assert set(bundle.manifest.metrics) == {
        "bundle",
        "score",
        "untrained",
        "random",
        "input",
        "pca",
    }
    assert bundle.manifest.entities == ("alpha",)
    assert bundle.manifest.report == "report.md"
    assert (bundle.folder / "report.html").is_file()
    assert sum(file.stat().st_size for file in bundle.folder.iterdir()) < 2_000_000
    assert (bundle.folder / "loss.png").is_file()
    assert not list(output.glob("untrained*"))


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_fit_of_a_model_without_a_network_trains_nothing(run: Run, tmp_path: Path) -> None:
    output, data = tmp_path / "bundles", npz(tmp_path)
    made = ("--data", data, "--output", output, "--name", "one", "--period-seconds", "60")
    assert run("fit", *made, "--model", "linear", "--no-report").code == 0
    bundle = load_bundle(output / "one")
    assert bundle.manifest.model == "linear"
    assert "network" not in bundle.manifest.members
    assert set(bundle.manifest.metrics) == {"bundle", "score", "random", "input", "pca"}
    ran = run("evaluate", bundle.folder, "--data", data, "--untrained")
    assert (ran.code, is_one_red_line(ran)) == (2, True)
    assert "linear has no network" in ran.err


def fleet(folder: Path) -> Path:
    folder.mkdir()
    for entity in ENTITIES:
        npz(folder, entity)
    return folder


def test_fit_does_not_learn_from_what_people_called_a_fault(run: Run, tmp_path: Path) -> None:
    """A fault among the points that calibrate hides the next one of its kind."""
    train = values_like("alpha", 1600, seed=4)
    train[1500:1540, CULPRIT] += 3.0
    np.savez(tmp_path / "alpha.npz", train=train, dimensions=np.array(DIMENSIONS))
    test = read_series(npz(tmp_path, "later"), part="test")
    fault = {"incident": "alpha@90000000", "entity": "alpha", "opened_ms": 90_000_000}
    told = {"note": {"label": "true"}, "alert": {"kind": "resolved", "timestamp_ms": 92_700_000}}
    (tmp_path / "labels.json").write_text(json.dumps({"incidents": [fault | told]}))
    peaks, errors = [], []
    for given in ((), ("--labels", tmp_path / "labels.json")):
        folder = tmp_path / f"models-{len(given)}"
        words = ("--data", tmp_path / "alpha.npz", "--output", folder, "--name", "m", *given)
        ran = run("fit", *words, "--model", "linear", "--period-seconds", "60", "--no-report")
        assert ran.code == 0, ran.err
        errors.append(ran.err)
        (scored,) = score_series(Fold(load_bundle(folder / "m")), [test])
        peaks.append(np.nanmax(scored.score[300:320]))
    assert "1 true incidents: 56 points of 1 entities are left out" in errors[1]
    assert peaks[1] > 1.5 * peaks[0]


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_fit_of_a_folder_is_one_network_for_all(run: Run, tmp_path: Path) -> None:
    data, output = fleet(tmp_path / "data"), tmp_path / "bundles"
    arguments = ("--data", data, "--output", output, "--name", "fleet", "--no-report", *FIT)
    assert run("fit", *arguments).code == 0
    assert load_bundle(output / "fleet").manifest.entities == ENTITIES
    assert not list(output.glob("fleet/*/report.md"))


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_fit_per_entity_is_a_bundle_for_each(run: Run, tmp_path: Path) -> None:
    data, output = fleet(tmp_path / "data"), tmp_path / "bundles"
    arguments = ("--data", data, "--output", output, "--name", "own", "--no-report", *FIT)
    ran = run("fit", *arguments, "--per-entity", "--json")
    assert ran.code == 0
    names = [bundle["name"] for bundle in json.loads(ran.out)["bundles"]]
    assert names == [f"own-{entity}" for entity in ENTITIES]
    assert load_bundle(output / "own-beta").manifest.entities == ("beta",)


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_fit_of_a_csv_file_chooses_columns_and_says_that_nothing_was_measured(
    run: Run, tmp_path: Path
) -> None:
    values = values_like("alpha", 1600)
    lines = [
        f"{60 * row},{','.join(f'{value:.4f}' for value in one)},host"
        for row, one in enumerate(values)
    ]
    data = tmp_path / "alpha.csv"
    data.write_text("\n".join(["clock,a,b,c,d,owner", *lines]) + "\n")
    ran = run(
        *("fit", "--data", data, "--output", tmp_path / "bundles", "--name", "csv", *FIT),
        *("--timestamp-column", "clock", "--columns", "a,b", "--columns", "d"),
    )
    assert ran.code == 0, ran.err
    bundle = load_bundle(tmp_path / "bundles" / "csv")
    assert bundle.manifest.dimensions == ("a", "b", "d")
    assert "nothing was measured" in ran.out
    assert "held-out end" in (bundle.folder / "report.md").read_text()


@pytest.mark.slow
def test_a_published_set_is_fitted_as_it_lies_there(run: Run, tmp_path: Path) -> None:
    for half, count, seed in (("train", 1600, 4), ("test", 500, 5)):
        (tmp_path / "SMD" / half).mkdir(parents=True)
        values = values_like("alpha", count, seed=seed)
        np.savetxt(tmp_path / "SMD" / half / "alpha.txt", values, delimiter=",")
    options = [*FIT[2:], "--model", "linear", "--no-report", "--json", "--trim", "0.04"]
    given = ("--data", tmp_path / "SMD", "--output", tmp_path / "out", "--name", "m")
    ran = run("fit", *given, *options, "--columns", "1-3", "--test-rows", ":300")
    assert ran.code == 0, ran.err
    (bundle,) = json.loads(ran.out)["bundles"]
    manifest = load_bundle(Path(bundle["folder"])).manifest
    assert (manifest.entities, manifest.dimensions) == (("alpha",), ("d00", "d01", "d02"))
    assert manifest.training["trim"] == 0.04
    assert manifest.training["trimmed_points"] == 16 * 2
    assert str(manifest.training["trimmed"]).startswith("alpha ")
    told = " ".join(ran.err.split())
    assert "layout smd (train/*.txt of 1 machines)" in told
    assert "to test on: 1 series of 300 points" in told
    assert "32 points, the 4.0% of windows" in told
