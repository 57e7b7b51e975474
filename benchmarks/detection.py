"""Copies what the docs show of a detection benchmark into the repository.

    python -m benchmarks.detection --from benchmark

The folder is one that `gaugewatch-trainer benchmark` wrote. `benchmarks/results/` gets the summary
and the measures by entity, both rounded; `docs/pictures/` some of its pictures. Suites that the
folder does not have stay as they are.
"""

import csv
import json
import re
from io import StringIO
from itertools import chain
from pathlib import Path
from shutil import copyfile
from typing import Annotated

import typer

from trainer.benchmark.pictures import OF_FAMILIES
from trainer.benchmark.rows import BENCH
from trainer.benchmark.summary import Summary

SUMMARY = Path("benchmarks/results/detection.json")
ENTITIES = Path("benchmarks/results/detection-entities.csv")
SHOWN = Path("docs/pictures")
PICTURES = {  # name: what is said of it where it cannot be seen
    "smd-rows": "Every row on SMD in the main measures, floors in grey",
    "smd-gains": "What the default has more than PCA, by machine",
    "smd-promised": "False incidents per day, promised against observed",
    "smd-delays": "Share of events found so many points after their start",
    "smd-best": "Severity and score of the machine where the default does best, with labels",
    "smd-worst": "Severity and score of the machine where the default does worst, with labels",
    "injected-families": "Each kind of injected fault, by row",
}
DIGITS = 5
MOST_BYTES = 150_000  # of a picture


def main(folder: Annotated[Path, typer.Option("--from", exists=True, file_okay=False)]) -> None:
    """Copy the summary, the measures by entity and the pictures."""
    text, sheet = (folder / "benchmark.json").read_text(), (folder / "entities.csv").read_text()
    made = Summary.model_validate_json(text)
    if SUMMARY.is_file():
        text = joined(Summary.model_validate_json(SUMMARY.read_text()), made).model_dump_json()
        sheet = joined_sheet(ENTITIES.read_text(), sheet)
    SUMMARY.write_text(shortened(text))
    ENTITIES.write_text(rounded(sheet))
    SHOWN.mkdir(exist_ok=True)
    for name in PICTURES:
        if name.split("-")[0] in made.suites:
            copy_picture(folder / "pictures" / f"{name}.png", SHOWN / f"{name}.png")


def joined(kept: Summary, made: Summary) -> Summary:
    """What was made, and of what was there the suites that were not made again."""
    suites = {**kept.suites, **made.suites}
    known = [name for name in BENCH.suites if name in suites]
    return Summary(
        codes=tuple(sorted({*kept.codes, *made.codes})),
        suites={name: suites[name] for name in [*known, *sorted(suites.keys() - set(known))]},
    )


def joined_sheet(kept: str, made: str) -> str:
    """The same for the measures by entity; a measure that a suite does not have stays empty."""
    old, new = (list(csv.DictReader(StringIO(sheet))) for sheet in (kept, made))
    again = {line["suite"] for line in new}
    lines = [*(line for line in old if line["suite"] not in again), *new]
    sheet = StringIO()
    head = dict.fromkeys(chain.from_iterable(lines))
    writer = csv.DictWriter(sheet, list(head), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(sorted(lines, key=lambda line: line["suite"]))
    return sheet.getvalue()


def shortened(text: str) -> str:
    """The summary, rounded, with a line per mean, without what the docs do not show.

    That is the differences of rows other than the default, and most measures of single faults.
    """
    summary = Summary.model_validate_json(text).model_dump(mode="json")
    for suite in summary["suites"].values():
        for name, row in suite["rows"].items():
            if name != BENCH.default:
                row["differences"] = {}
            for kind, means in row["families"].items():
                row["families"][kind] = {m: means[m] for m in OF_FAMILIES if m in means}
    spread = json.dumps(summary, indent=1)
    brief = re.sub(
        r"-?\d+\.\d+(e[+-]?\d+)?(?=,?\n)", lambda number: brief_number(number[0]), spread
    )
    return re.sub(r"\{[^{}]*\}", lambda leaf: " ".join(leaf[0].split()), brief) + "\n"


def rounded(text: str) -> str:
    """The measures by entity, each with a few digits."""
    head, *lines = csv.reader(StringIO(text))
    sheet = StringIO()
    writer = csv.writer(sheet, lineterminator="\n")
    writer.writerow(head)
    for line in lines:
        writer.writerow([brief_number(cell) if "." in cell else cell for cell in line])
    return sheet.getvalue()


def brief_number(text: str) -> str:
    """A number with a few digits; any other text as it is."""
    try:
        return f"{float(text):.{DIGITS}g}"
    except ValueError:
        return text


def copy_picture(source: Path, target: Path) -> None:
    """Copy a picture that is small enough; remove the old one where there is none."""
    if not source.is_file():
        target.unlink(missing_ok=True)
        return
    if source.stat().st_size > MOST_BYTES:
        raise SystemExit(f"{source}: expected at most {MOST_BYTES} bytes")
    copyfile(source, target)


if __name__ == "__main__":
    typer.run(main)
