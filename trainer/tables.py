"""Tables of measures: how rows and measures are called, and in which order."""

from collections.abc import Mapping, Sequence

from trainer.evaluate import Measures

ROWS = {
    "bundle": "bundle",
    "score": "score",
    "untrained": "untrained",
    "pca": "PCA",
    "input": "input",
    "random": "random",
}
MEASURES = {
    "average_precision": "average precision",
    "vus_pr": "VUS-PR, W = 100",
    "vus_pr_file": "VUS-PR, W of the file",
    "oracle_f1": "point F1, oracle",
    "oracle_composite_f1": "composite F1, oracle",
    "composite_f1": "composite F1",
    "event_recall": "events found",
    "event_recall_within_5": "events found within 5 points",
    "false_episodes_per_day": "false episodes/day",
    "flagged_over_nominal": "flagged/nominal",
    "median_delay_points": "median delay, points",
    "p90_delay_points": "p90 delay, points",
    "hit_rate_100": "HitRate@100",
    "hit_rate_150": "HitRate@150",
    "rc_top_3": "RC-Top3",
    "ndcg_100": "NDCG@100",
}
APPENDIX = {"point_adjusted_f1": "point-adjusted F1, oracle (inflated)"}


def table(
    rows: Mapping[str, Measures], titles: Mapping[str, str] = MEASURES
) -> tuple[list[str], list[list[str]]]:
    """Head and lines of a table: one line per measure that has a title, one column per row."""
    names = [name for name in ROWS if name in rows] + [name for name in rows if name not in ROWS]
    lines = [
        [title, *(cell(rows[name].get(measure)) for name in names)]
        for measure, title in titles.items()
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
