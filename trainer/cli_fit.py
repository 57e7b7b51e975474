"""`gaugewatch-trainer fit`: series in, a bundle out."""

import time
from collections.abc import Callable, Sequence

from service.errors import SettingInvalid, TrainingFailed
from trainer.cli_options import Json, Reading, TestPart, names_of, reader_of, tell_of
from trainer.config import Config
from trainer.console import ignore, live, note, print_json, show, summary, warn
from trainer.datasets import Halves, Reader, to_train_on
from trainer.fit_options import Attendance, Given, Hands, Made, Recipe
from trainer.labels import read_faults, without_faults
from trainer.one_fit import OneFit
from trainer.option_groups import grouped
from trainer.per_entity import Outcome, fit_side_by_side
from trainer.run import Order, check, trainable
from trainer.trim import sentence


@grouped
def fit_command(
    given: Given,
    made: Made,
    recipe: Recipe,
    reading: Reading,
    part: TestPart,
    attendance: Attendance,
    hands: Hands,
    is_json: Json = False,
) -> None:
    """Fit a model, export, calibrate and measure it."""
    hands.expect_work()
    config, tell = recipe.config(), ignore if attendance.quiet else note
    columns, period_seconds = names_of(given.columns), made.period_seconds
    reader = reader_of(reading, part, period_seconds=period_seconds, columns=columns, tell=tell)
    halves = _read(given, reader, config, tell=tell)
    fits = _fits(halves, config, made, attendance, is_per_entity=hands.per_entity)
    tell_of(given.data, reader, halves, tell=tell)
    if hands.per_entity:
        results, errors = fit_side_by_side(
            fits, workers=hands.workers, ray=hands.ray, is_quiet=attendance.quiet
        )
    else:
        results, errors = [_here(fits[0], is_quiet=attendance.quiet)], {}
    _tell_of(results, tell=tell, is_shown=not (is_json or attendance.quiet))
    if is_json:
        print_json({"bundles": [summary(bundle, seconds) for bundle, seconds in results]})
    if errors:
        told = "; ".join(f"{name}: {error}" for name, error in sorted(errors.items()))
        raise TrainingFailed(f"{len(errors)} of {len(fits)} entities failed: {told}")


def _read(given: Given, reader: Reader, config: Config, *, tell: Callable[[str], None]) -> Halves:
    """Both halves of the entities that can be trained on, without the faults that are known."""
    halves = to_train_on(reader, given.data, test=given.test_data)
    if given.labels is not None:
        faults = read_faults(given.labels)
        period_seconds = reader.period_seconds
        halves = without_faults(halves, faults, period_seconds=period_seconds, tell=tell)
    return trainable(halves, config, warn=warn)


def _fits(
    halves: Halves, config: Config, made: Made, attendance: Attendance, *, is_per_entity: bool
) -> list[OneFit]:
    """One for all entities or one for each; raises what would be found only after the training."""
    parts = _parts(halves, made.name) if is_per_entity else {made.name: halves}
    comforts, has_untrained = attendance.comforts(), made.untrained
    fits = [
        OneFit(
            Order(config, name, made.output, made.period_seconds),
            own,
            comforts,
            has_untrained,
            made.report,
        )
        for name, own in parts.items()
    ]
    for one in fits:
        check(one.order, one.halves, has_untrained=has_untrained)
    return fits


def _parts(halves: Halves, name: str) -> dict[str, Halves]:
    """Bundle name -> its only entity."""
    parts = {f"{name}-{one.entity}".lower(): halves.of(one.entity) for one in halves.train}
    if len(parts) < len(halves.train):
        raise SettingInvalid("entities whose names differ only in case need folders of their own")
    return parts


def _here(one: OneFit, *, is_quiet: bool) -> Outcome:
    """Fit in this process; the bundle, and the seconds it took."""
    with live("", is_quiet=is_quiet) as screen:
        started = time.monotonic()
        bundle = one.made(screen.stage, screen.say)
        return bundle, time.monotonic() - started


def _tell_of(results: Sequence[Outcome], *, tell: Callable[[str], None], is_shown: bool) -> None:
    """What was trimmed, and how good each bundle is."""
    for bundle, _ in results:
        if trimmed := sentence(bundle.manifest.training):
            tell(trimmed)
        if is_shown:
            show(bundle, bundle.manifest.metrics)
