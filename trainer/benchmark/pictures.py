"""The pictures of a suite: which there are, what they show, and where their numbers come from."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from trainer.benchmark.exhibit import FOLDER, Exhibit, Picture
from trainer.benchmark.means import by_entity, rates_of, values_of
from trainer.benchmark.plots import (
    Bar,
    Gains,
    plot_bars,
    plot_families,
    plot_gains,
    plot_promised,
)
from trainer.benchmark.results import Trace, read_trace, traces_path
from trainer.benchmark.sheets import TITLES
from trainer.benchmark.trace_plots import LATEST, Delays, plot_delays, plot_trace
from trainer.measures.events import FloatArray, runs

MAIN = ("vus_pr", "average_precision", "composite_f1", "event_recall", "hit_rate_150")
OF_FAMILIES = ("average_precision", "vus_pr", "hit_rate_150")
RANKED_BY = "vus_pr"
LEFT_OUT = "Rows that decide as one before them are left out."


def draw(exhibit: Exhibit) -> list[Picture]:
    """Every picture for which there are numbers."""
    (exhibit.output / FOLDER).mkdir(parents=True, exist_ok=True)
    makers: tuple[Callable[[Exhibit], Iterator[Picture]], ...] = (
        *(_bars, _gains, _families, _delays, _promised, _best_and_worst),
    )
    return [picture for make in makers for picture in make(exhibit)]


def _bars(exhibit: Exhibit) -> Iterator[Picture]:
    rows, has_untuned = exhibit.summary.rows, exhibit.summary.untuned > 0
    bars = [
        Bar(
            row.title,
            row.untuned if has_untuned else row.all,
            name == exhibit.default,
            row.is_floor,
        )
        for name, row in rows.items()
    ]
    titles = {name: TITLES[name] for name in MAIN if any(name in bar.means for bar in bars)}
    if not titles:
        return
    whose = "untuned entities, with 95 % intervals" if has_untuned else "all entities"
    path, picture = exhibit.picture("rows", f"Every row: mean over {whose}. Grey: floors.")
    plot_bars(path, bars, titles=titles)
    yield picture


def _gains(exhibit: Exhibit) -> Iterator[Picture]:
    panels = [one for measure in MAIN if (one := _gains_in(exhibit, measure)) is not None][:2]
    if not panels:
        return
    than, default = exhibit.title(exhibit.anchor), exhibit.title(exhibit.default)
    caption = (
        f'What "{default}" has more than "{than}", by entity; the seeds averaged. '
        "The band is the paired 95 % interval of the mean over the untuned entities."
    )
    path, picture = exhibit.picture("gains", caption)
    plot_gains(path, panels, than=than)
    yield picture


def _gains_in(exhibit: Exhibit, measure: str) -> Gains | None:
    own, others = (
        by_entity(values_of(exhibit.runs_of(row), lambda *_: True).get(measure, {}))
        for row in (exhibit.default, exhibit.anchor)
    )
    entities = sorted(own.keys() & others.keys())
    if not entities:
        return None
    tuned = {e.fitted_as for run in exhibit.runs for e in run.entities.values() if e.is_tuning}
    compared = exhibit.summary.rows[exhibit.default].differences.get(exhibit.anchor, {})
    return Gains(
        TITLES[measure],
        entities,
        np.array([own[entity] - others[entity] for entity in entities]),
        np.array([entity in tuned for entity in entities]),
        compared.get(measure),
    )


def _families(exhibit: Exhibit) -> Iterator[Picture]:
    rows = {exhibit.title(row): exhibit.summary.rows[row].families for row in exhibit.shown}
    rows = {title: families for title, families in rows.items() if families}
    measures = {m for families in rows.values() for means in families.values() for m in means}
    titles = {name: TITLES[name] for name in OF_FAMILIES if name in measures}
    if not titles:
        return
    caption = "Each family of injected faults: mean over the untuned entities, 95 % intervals."
    path, picture = exhibit.picture("families", caption)
    plot_families(path, rows, colors=exhibit.colors, titles=titles)
    yield picture


def _delays(exhibit: Exhibit) -> Iterator[Picture]:
    rows = {}
    for row in exhibit.shown:
        traces = [trace for run in exhibit.runs_of(row) for trace in exhibit.traces(run)]
        if any(trace.is_anomaly is not None for trace in traces):
            rows[exhibit.title(row)] = delays_of(traces)
    rows = {row: rows[row] for row in distinct({row: own.shares for row, own in rows.items()})}
    if not rows:
        return
    caption = (
        f"How late events are found, at the threshold that serves: up to {LATEST} points; "
        f"all entities and seeds. {LEFT_OUT}"
    )
    path, picture = exhibit.picture("delays", caption)
    plot_delays(path, rows, colors=exhibit.colors)
    yield picture


def delays_of(traces: Sequence[Trace]) -> Delays:
    """Over the events of all traces with flags."""
    points, events = [], 0
    for trace in traces:
        if trace.is_anomaly is None:
            continue
        for start, end in runs(trace.label):
            events += 1
            flags = trace.is_anomaly[start : end + 1]
            if flags.any():
                points.append(int(flags.argmax()))
    return Delays(np.array(points, np.int64), events)


def distinct(curves: Mapping[str, FloatArray]) -> list[str]:
    """The rows whose curve is not that of a row before them."""
    kept: list[str] = []
    for row, curve in curves.items():
        if not any(
            curve.shape == curves[one].shape and np.allclose(curve, curves[one]) for one in kept
        ):
            kept.append(row)
    return kept


def _promised(exhibit: Exhibit) -> Iterator[Picture]:
    rates = {
        exhibit.title(row): found
        for row in exhibit.shown
        if (found := _rates(exhibit, row)) is not None
    }
    rates = {row: rates[row] for row in distinct({row: own for row, (_, own) in rates.items()})}
    if not rates:
        return
    caption = (
        "False incidents per day, promised and observed on the test half outside labelled events: "
        "mean over the untuned entities; thin: each entity of the default row; at the lower edge: "
        f"none. {LEFT_OUT}"
    )
    path, picture = exhibit.picture("promised", caption)
    default = exhibit.summary.rows.get(exhibit.default)
    plot_promised(path, rates, colors=exhibit.colors, default=default.title if default else "")
    yield picture


def _rates(exhibit: Exhibit, row: str) -> tuple[FloatArray, FloatArray] | None:
    """Budgets (budget,) and observed rates (entity, budget) of untuned entities."""
    rates = rates_of(exhibit.runs_of(row), lambda _name, result: not result.is_tuning)
    if not rates:
        return None
    of_budget = [by_entity(rates[budget]) for budget in sorted(rates)]
    entities = sorted(set.intersection(*(set(one) for one in of_budget)))
    observed = [[one[entity] for one in of_budget] for entity in entities]
    return np.array(sorted(rates)), np.array(observed)


def _best_and_worst(exhibit: Exhibit) -> Iterator[Picture]:
    of_row = exhibit.runs_of(exhibit.default)
    if not of_row:
        return
    run = of_row[0]
    ranked = sorted(
        (one.measures[RANKED_BY], name)
        for name, one in run.entities.items()
        if RANKED_BY in one.measures
    )
    ends = {"best": ranked[-1], "worst": ranked[0]} if ranked else {}
    for which, (value, entity) in ends.items():
        trace = read_trace(traces_path(exhibit.output, run.suite, run.row, run.seed), entity)
        if trace is not None:
            caption = (
                f"{entity}, where {exhibit.title(exhibit.default)} does {which}: "
                f"{TITLES[RANKED_BY]} {value:.3f} (seed {run.seed})."
            )
            path, picture = exhibit.picture(which, caption)
            plot_trace(path, trace)
            yield picture
