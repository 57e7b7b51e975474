"""Tables of measures: how rows and measures are called, and in which order."""

from collections.abc import Mapping, Sequence

from trainer.evaluate import Measures

ROWS = {
    "score": "score",
    "severity": "severity",
    "untrained": "untrained",
    "pca": "PCA",
    "input": "input",
    "random": "random",
}
MEASURES = {
    "average_precision": "average precision",
    "vus_pr": "VUS-PR, W = 100",
    "oracle_f1": "point F1, oracle",
    "oracle_composite_f1": "composite F1, oracle",
    "composite_f1": "composite F1",
    "event_recall": "events found",
    "false_episodes_per_day": "false episodes/day",
    "median_delay_points": "median delay, points",
    "hit_rate_100": "HitRate@100",
    "hit_rate_150": "HitRate@150",
    "rc_top_3": "RC-Top3",
    "ndcg_100": "NDCG@100",
}


def table(rows: Mapping[str, Measures]) -> tuple[list[str], list[list[str]]]:
    """Head and lines of the table of measures: one line per measure, one column per row."""
    names = [name for name in ROWS if name in rows] + [name for name in rows if name not in ROWS]
    lines = [
        [title, *(cell(rows[name].get(measure)) for name in names)]
        for measure, title in MEASURES.items()
        if any(measure in rows[name] for name in names)
    ]
    return ["measure", *(ROWS.get(name, name) for name in names)], lines


def cell(value: float | None) -> str:
    """A number as the tables show it."""
    return "-" if value is None else f"{value:.3f}" if value < 10 else f"{value:.1f}"


def markdown(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table of text in Markdown."""
    rows = [head, ["---"] + ["---:"] * (len(head) - 1), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
