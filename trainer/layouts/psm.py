"""PSM as eBay publishes it: train.csv, test.csv and test_label.csv; the clock counts minutes.

Some cells of the training half are empty. The label is a file of its own, row by row.
"""

import numpy as np

from service.errors import BadSeries
from service.scoring.csv_cells import flags, numbers
from service.scoring.series import Part, Series
from service.scoring.timestamps import by_period, increasing
from trainer.layouts.source import BoolArray, Source
from trainer.layouts.table import Form, Role, Table, read_table

CLOCK, LABEL = "timestamp_(min)", "label"
MINUTE_SECONDS = 60.0
LABELS = "test_label.csv"
ENTITY = "PSM"


def read(source: Source, part: Part) -> list[Series]:
    """One half of the folder."""
    table = read_table(source.path / f"{part}.csv", FORM)
    minutes = numbers(table.texts[CLOCK], CLOCK, place=table.place)
    stamps = increasing(by_period(minutes, MINUTE_SECONDS), table.place)
    label = _label(source, table) if part == "test" else None
    return [Series(ENTITY, table.names, stamps, table.values, label, ())]


def _role(name: str) -> Role:
    return "text" if name in {CLOCK, LABEL} else "dimension"


FORM = Form(CLOCK, _role)


def _label(source: Source, test: Table) -> BoolArray | None:
    path = source.path / LABELS
    if not path.is_file():
        source.tell(f"{path} is not there, so the test half has no label")
        return None
    table = read_table(path, LABEL_FORM)
    if LABEL not in table.texts:
        raise BadSeries(f"{path}: row 1: expected a column {LABEL!r}, found none")
    label = flags(table.texts[LABEL], LABEL, place=table.place)
    if len(label) != len(test.values):
        raise BadSeries(f"{path}: expected {len(test.values)} labels, came {len(label)}")
    minutes = numbers(test.texts[CLOCK], CLOCK, place=test.place)
    for row in np.flatnonzero(table.values[:, 0] != minutes)[:1]:
        raise BadSeries(
            f"{table.place(row)}: expected minute {minutes[row]:g} as in test.csv, "
            f"came {table.values[row, 0]:g}"
        )
    return label


def _label_role(name: str) -> Role:
    return "text" if name == LABEL else "dimension"


LABEL_FORM = Form(CLOCK, _label_role)
