"""WADI as iTrust publishes it: 14 normal days, two attacked ones.

The 2017 files (A1) have four lines of machine paths above the header, paths before the names, and
no labels; the labels of 2019 (A2) are 1 for calm and -1 for attacked, in a last column. Four
dimensions never have a value. Dates have lost their hours, so points count by their row. The last
rows may lack label and values: they are left out.
"""

from pathlib import PureWindowsPath

import numpy as np
import numpy.typing as npt

from service.errors import BadSeries
from service.scoring.csv_cells import numbers
from service.scoring.series import Part, Series
from service.scoring.timestamps import by_period
from trainer.layouts.source import BoolArray, Source, rows_of
from trainer.layouts.swat import half
from trainer.layouts.table import Form, Role, Table, read_table

ROW, LABEL = "row", "attack lable"
FILES = {"train": "14days", "test": "attack"}
ENTITY = "WADI"
CALM, ATTACKED = 1, -1


def read(source: Source, part: Part) -> list[Series]:
    """The half of a folder that is asked for; a file is the half it is asked for."""
    path = half(source, FILES[part])
    if path is None:
        return []
    table = read_table(path, FORM)
    columns = zip(table.names, table.values.T, strict=True)
    empty = [name for name, column in columns if np.isnan(column).all()]
    if empty:
        source.tell(f"{path}: {len(empty)} dimensions have no value: {', '.join(empty)}")
    stamps = by_period(_row_numbers(table), source.period_seconds)
    series = Series(ENTITY, table.names, stamps, table.values, None, ())
    if LABEL not in table.texts:
        if part == "test":
            source.tell(f"{path}: no column of labels, as in the files of 2017")
        return [series]
    label, count = _label(table)
    if count < len(label):
        source.tell(f"{path}: the last {len(label) - count} rows have no label and are left out")
    labelled = Series(ENTITY, table.names, stamps, table.values, label, ())
    return [rows_of(labelled if part == "test" else series, 0, count)]


def _name(cell: str) -> str:
    """A name without the path of its machine, and a label without its explanation."""
    name = PureWindowsPath(cell.strip()).name
    return "Attack LABLE" if name.lower().startswith(LABEL) else name


def _role(name: str) -> Role:
    if name in {ROW, LABEL}:
        return "text"
    return "ignored" if name in {"date", "time", ""} else "dimension"


FORM = Form(ROW, _role, clean=_name)


def _row_numbers(table: Table) -> npt.NDArray[np.float64]:
    """The numbers of the column Row, or their own where it has gone wrong."""
    found = numbers(table.texts[ROW], ROW, place=table.place)
    is_clock = np.isfinite(found).all() and bool((np.diff(found) > 0).all())
    return found if is_clock else np.arange(len(found), dtype=np.float64)


def _label(table: Table) -> tuple[BoolArray, int]:
    """Whether each point was attacked, and how many points come before the unlabelled end."""
    found = numbers(table.texts[LABEL], LABEL, place=table.place)
    count = int(np.flatnonzero(np.isfinite(found))[-1]) + 1 if np.isfinite(found).any() else 0
    for row in np.flatnonzero(~np.isin(found[:count], (CALM, ATTACKED)))[:1]:
        raise BadSeries(
            f"{table.place(row)}, column {LABEL}: expected {CALM} or {ATTACKED}, "
            f"came {table.texts[LABEL][row]!r}"
        )
    return found == ATTACKED, count
