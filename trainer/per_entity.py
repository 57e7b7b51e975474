"""The fits of a folder, one bundle per entity, in processes of this machine or of a cluster."""

from collections.abc import Sequence

from rich.console import Console

from service.scoring.bundle import Bundle
from trainer.one_fit import OneFit
from trainer.ray_workers import RayWorkers
from trainer.side_by_side import work_off
from trainer.watch import Watch, watching
from trainer.workers import Pool, Workers, at_once, single_threaded

ABSENT = "its bundle is not here; the machines of --ray need one folder for --output"

Outcome = tuple[Bundle, float]  # and the seconds it took


def fit_side_by_side(
    fits: Sequence[OneFit], *, workers: int | None, ray: str | None, is_quiet: bool
) -> tuple[list[Outcome], dict[str, str]]:
    """What was made with the seconds each took, and the errors of the others by bundle name."""
    console = Console(stderr=True, quiet=is_quiet)
    with single_threaded(), watching(console, title="entities", jobs="entities") as watch:
        threads = max(one.order.config.threads for one in fits)
        if ray:
            pool: Pool = RayWorkers(ray, workers, threads=threads)
        else:
            pool = Workers(at_once(workers, threads=threads, tell=console.print))
        try:
            return _fit_all(fits, pool, watch)
        finally:
            pool.end()


def _fit_all(
    fits: Sequence[OneFit], pool: Pool, watch: Watch
) -> tuple[list[Outcome], dict[str, str]]:
    """Of resumed fits those that are finished are left out."""
    left = {one.order.name: one for one in fits if not (one.comforts.is_resumed and one.finished())}
    watch.begin(total=len(left), reused=len(fits) - len(left))
    errors = work_off(left, pool, watch)
    made: list[Outcome] = []
    for one in fits:
        if one.order.name in errors:
            continue
        if found := one.finished():
            made.append(found)
        else:
            errors[one.order.name] = ABSENT
    return made, errors
