"""Fills the tables of README and docs from the shipped manifests and the last `make bench`.

    python -m benchmarks.figures

Each table stands between `<!-- figures:NAME -->` and `<!-- /figures -->`.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path

PAGES = (Path("README.md"), Path("docs/detection.md"))
BENCH = Path("benchmarks/results/ingest.json")
BUNDLES = ("smd-machine-1-6", "smd-machine-2-1")
ROWS = {
    "score": "**Gaugewatch**",
    "untrained": "untrained network",
    "pca": "PCA",
    "input": "input itself",
    "random": "random",
}
MEASURES = {
    "average_precision": "average precision",
    "vus_pr": "VUS-PR",
    "hit_rate_150": "HitRate@150",
    "composite_f1": "composite F1",
    "event_recall": "events found",
    "false_episodes_per_day": "false episodes/day",
}


def main() -> None:
    """Write every table anew."""
    for page in PAGES:
        page.write_text(filled(page.read_text()))


def filled(text: str) -> str:
    """The text with its tables up to date."""
    tables = {"smd": _smd, "bench": _bench}

    def table(match: re.Match[str]) -> str:
        lines = "\n".join(tables[match[1]]())
        return f"<!-- figures:{match[1]} -->\n{lines}\n<!-- /figures -->"

    return re.sub(r"<!-- figures:(\w+) -->.*?<!-- /figures -->", table, text, flags=re.DOTALL)


def _smd() -> Iterator[str]:
    for name in BUNDLES:
        version = Path("exported_models", name, "current").read_text().strip()
        manifest = Path("exported_models", name, version, "bundle.json").read_text()
        metrics = json.loads(manifest)["metrics"]
        yield f"| {name.removeprefix('smd-')} | {' | '.join(MEASURES.values())} |"
        yield f"|---|{'---:|' * len(MEASURES)}"
        for row, title in ROWS.items():
            cells = (_figure(metrics[row].get(measure)) for measure in MEASURES)
            yield f"| {title} | {' | '.join(cells)} |"
        yield ""


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _bench() -> Iterator[str]:
    result = json.loads(BENCH.read_text())
    machine = result["machine"]
    yield (
        f"{machine['cores']} cores ({machine['cpu']}), {machine['dimensions']} dimensions, "
        f"{machine['store'].split(' ')[0]}; points per second, in brackets per CPU-second of the "
        "service. The naive service keeps a Redis list per entity and runs the whole window again."
    )
    yield ""
    yield "| persistence | requests | Gaugewatch | naive | ratio per CPU-s | p50 / p99 ms, ours |"
    yield "|---|---|---:|---:|---:|---:|"
    for one in result["summary"]:
        ours, naive = one["gaugewatch"], one["naive"]
        yield (
            f"| {one['durability']} | {one['load']} | {_rate(ours)} | {_rate(naive)} "
            f"| {one['ratio']['points_per_service_cpu_second']:.1f} "
            f"| {ours['latency_ms_p50']:.1f} / {ours['latency_ms_p99']:.1f} |"
        )
    yield ""
    yield (
        "One lone connection is slower than the naive service, which does none of the normalising, "
        "calibration, incidents and idempotency; under load the batches pay for it."
    )


def _rate(one: dict[str, float]) -> str:
    per_cpu = one["points_per_service_cpu_second"]
    return f"{one['points_per_second']:,.0f} ({per_cpu:,.0f})"


if __name__ == "__main__":
    main()
