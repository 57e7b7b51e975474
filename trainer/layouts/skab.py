"""SKAB as Skoltech publishes it: a `;`-separated file per experiment of one water circuit.

    data/anomaly-free/anomaly-free.csv  data/valve1/0.csv  data/valve2/...  data/other/...

As in SKAB's own notebooks the first 400 points of an experiment are the training half. The one
without anomalies is to train on alone. `changepoint` marks where an anomaly begins and ends; it is
not a dimension, and not read.
"""

from pathlib import Path

from service.scoring.csv_cells import flags
from service.scoring.series import Part, Series
from trainer.layouts.source import Source, rows_of
from trainer.layouts.table import Form, Role, clock_ms, has_header, read_table

CLOCK, LABEL, IGNORED = "datetime", "anomaly", "changepoint"
CALM = "anomaly-free"
TRAIN_POINTS = 400


def read(source: Source, part: Part) -> list[Series]:
    """One half of every experiment below the folder, or of one file."""
    path = source.path
    files = [path] if path.is_file() else sorted(path.rglob("*.csv"))
    files = [file for file in files if has_header(file, CLOCK)]
    if part == "test":
        files = [file for file in files if file.stem != CALM]
    return sorted((_half(source, file, part) for file in files), key=lambda one: one.entity)


def _half(source: Source, file: Path, part: Part) -> Series:
    table = read_table(file, FORM)
    stamps = source.clock(clock_ms(table.texts[CLOCK], table.place), file)
    label = None
    if LABEL in table.texts:
        label = flags(table.texts[LABEL], LABEL, place=table.place)
    entity = CALM if file.stem == CALM else f"{file.parent.name}-{file.stem}"
    series = Series(entity, table.names, stamps, table.values, label, ())
    count = len(series.values)
    first = count if file.stem == CALM else min(TRAIN_POINTS, count)
    return rows_of(series, 0, first) if part == "train" else rows_of(series, first, count)


def _role(name: str) -> Role:
    if name == IGNORED:
        return "ignored"
    return "text" if name in {CLOCK, LABEL} else "dimension"


FORM = Form(CLOCK, _role)
