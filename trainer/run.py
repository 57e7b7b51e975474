"""A run: series in; a bundle, measured and reported, out. The steps of the trainer in order."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from service.errors import SettingInvalid, TrainingFailed
from service.scoring.bundle import Bundle, load_bundle, write_manifest
from service.scoring.fold import Fold
from service.scoring.offline import Scored, score_series
from service.scoring.series import Series
from trainer.attended import NO_COMFORTS, Comforts, Stages, train
from trainer.budget import last_rows
from trainer.build import build_bundle
from trainer.config import CONFIGS, Config, NetworkConfig, restored
from trainer.datasets import Halves, expect_dimensions
from trainer.evaluate import evaluate
from trainer.fit import points_needed
from trainer.material import Material, write_history
from trainer.page.report_page import write_page
from trainer.report import write_report

NAME = re.compile(r"^[a-z0-9][a-z0-9._-]*$")


@dataclass(frozen=True)
class Order:
    """What to make of the series."""

    config: Config
    name: str
    output: Path
    period_seconds: float


def trainable(halves: Halves, config: Config, *, warn: Callable[[str], None]) -> Halves:
    """Both halves of the entities that have enough points to train on, if there are any."""
    needed = points_needed(config)
    points = {one.entity: len(one.values) for one in halves.train}
    short = {entity: count for entity, count in points.items() if count < needed}
    if points and len(short) == len(points):
        longest = max(points, key=points.__getitem__)
        raise TrainingFailed(
            f"every series is too short: one entity needs {needed} points to train on, "
            f"the longest is {longest} with {points[longest]}"
        )
    for entity, count in short.items():
        warn(f"{entity} is left out: it has {count} points, and {needed} are needed to train on")
    return halves.without(short)


def check(order: Order, halves: Halves, *, has_untrained: bool = False) -> None:
    """Raise before the training what would be found only after it."""
    if has_untrained:
        _expect_network(order.config)
    if not NAME.match(order.name):
        raise SettingInvalid(f"expected a name of a-z, 0-9, '.', '_' and '-', got {order.name!r}")
    first = halves.train[0]
    expect_dimensions([*halves.train, *halves.test], first.dimensions, of=first.entity)
    try:
        order.output.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise SettingInvalid(f"cannot write into {order.output}: {problem}") from None


def _expect_network(config: Config) -> None:
    if not isinstance(config, NetworkConfig):
        raise SettingInvalid(f"{config.model} has no network, so there is no untrained one")


def make(
    order: Order, series: Sequence[Series], stages: Stages, *, comforts: Comforts = NO_COMFORTS
) -> Bundle:
    """Fit, export and calibrate; `comforts` change nothing of the bundle."""
    fitted = train(series, order.config, stages, comforts=comforts)
    bundle = build_bundle(
        fitted,
        order.output,
        name=order.name,
        period_seconds=order.period_seconds,
        on_point=counted(stages, "export, calibration"),
    )
    write_history(bundle.folder, fitted.history, best_epoch=fitted.best_epoch)
    return bundle


def counted(stages: Stages, title: str, *, total: int | None = None) -> Callable[[int], None]:
    """Hears of points that are done, and tells a stage how many there were so far."""
    tell, done = stages(title, total=total), 0

    def on_point(count: int) -> None:
        nonlocal done
        done += count
        tell(done, f"{done:,} points")

    return on_point


def examine(
    bundle: Bundle, halves: Halves, stages: Stages, *, has_untrained: bool = False
) -> Material:
    """Score the test half and the calibration stretch, and measure beside the floors."""
    if has_untrained:
        _expect_network(config_of(bundle))
    dimensions = bundle.manifest.dimensions
    expect_dimensions([*halves.train, *halves.test], dimensions, of=bundle.title)
    held_out = [last_rows(one, _held_out_points(bundle, one)) for one in halves.train]
    scored = score(bundle, [*halves.test, *held_out], stages)
    tests = len(halves.test)
    untrained = None
    if has_untrained and any(one.label is not None for one in halves.test):
        untrained = score_untrained(bundle, halves, stages)
    evaluation = evaluate(
        halves,
        scored[:tests],
        period_seconds=bundle.manifest.period_seconds,
        untrained=untrained,
    )
    return Material(bundle, halves, evaluation, held_out, scored[tests:])


def _held_out_points(bundle: Bundle, series: Series) -> int:
    """Length of the calibration stretch, and of the warm-up before it."""
    usual = Config.model_fields["calibration_share"].default
    share = float(bundle.manifest.training.get("calibration_share", usual))
    return round(share * len(series.values)) + bundle.manifest.memory_horizon - 1


def score(
    bundle: Bundle, series: Sequence[Series], stages: Stages, *, title: str = "scoring"
) -> list[Scored]:
    """What the service would answer, all series side by side."""
    points = sum(len(one.values) for one in series)
    return score_series(Fold(bundle), series, on_point=counted(stages, title, total=points))


def score_untrained(bundle: Bundle, halves: Halves, stages: Stages) -> list[Scored]:
    """The same bundle around a network that keeps its initial weights."""
    if not halves.train:
        raise SettingInvalid("the untrained network needs the training half of the data")
    config = config_of(bundle).model_copy(update={"epochs": 0})
    known = [one for one in halves.train if one.entity in bundle.entity_indices]
    with TemporaryDirectory() as folder:
        order = Order(config, "untrained", Path(folder), bundle.manifest.period_seconds)
        twin = make(order, known, stages)
        return score(twin, halves.test, stages, title="scoring untrained")


def config_of(bundle: Bundle) -> Config:
    """The configuration a bundle was trained with, as its manifest tells it.

    Raises SettingInvalid where it tells none, or one that this trainer no longer knows.
    """
    known = bundle.manifest.training
    if known.get("model") not in CONFIGS:
        raise SettingInvalid(f"the manifest of {bundle.title} does not tell how it was trained")
    return restored(known, where=lambda knob: f"{knob} (the manifest of {bundle.title})")


def publish(material: Material, stages: Stages, *, has_report: bool) -> Bundle:
    """Write the measures into the manifest, and the report; neither is part of its digest."""
    report = ""
    if has_report:
        tell = stages("report", total=1.0)
        report = write_report(material).name
        write_page(material, tell)
    bundle = material.bundle
    update = {"metrics": material.evaluation.rows, "report": report}
    write_manifest(bundle.folder, bundle.manifest.model_copy(update=update))
    return load_bundle(bundle.folder)
