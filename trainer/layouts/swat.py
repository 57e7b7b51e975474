"""SWaT as iTrust publishes it, saved as CSV: one file of normal days, one of attacked ones.

Above the header stands a line of process stages; names and times begin with blanks; some copies
have `2,5` for 2.5. Attacked points are called `Attack` and here and there `A ttack`.
"""

from pathlib import Path

import numpy as np

from service.errors import BadSeries
from service.scoring.series import Part, Series
from trainer.layouts.source import BoolArray, Source
from trainer.layouts.table import Form, Role, Table, clock_ms, read_table

CLOCK, LABEL = "timestamp", "normal/attack"
FLAGS = {"normal": False, "attack": True}
FILES = {"train": "normal", "test": "attack"}
ENTITY = "SWaT"


def read(source: Source, part: Part) -> list[Series]:
    """The half of a folder that is asked for; a file is the half it is asked for."""
    path = half(source, FILES[part])
    if path is None:
        return []
    table = read_table(path, FORM)
    label = None
    if part == "test" and LABEL in table.texts:
        label = _label(table)
    stamps = source.clock(clock_ms(table.texts[CLOCK], table.place), path)
    return [Series(ENTITY, table.names, stamps, table.values, label, ())]


def half(source: Source, word: str) -> Path | None:
    """The file itself, or the one in the folder with this word; of several the last by name."""
    if source.path.is_file():
        return source.path
    files = sorted(f for f in source.path.glob("*.csv") if word in f.name.lower())
    if len(files) > 1:
        source.tell(f"{source.path}: of {', '.join(f.name for f in files)} the last is read")
    return files[-1] if files else None


def _role(name: str) -> Role:
    return "text" if name in {CLOCK, LABEL} else "dimension" if name else "ignored"


FORM = Form(CLOCK, _role, is_decimal_comma=True)


def _label(table: Table) -> BoolArray:
    found = np.empty(len(table.values), np.bool_)
    for row, cell in enumerate(table.texts[LABEL]):
        word = "".join(cell.split()).lower()
        if word not in FLAGS:
            raise BadSeries(f"{table.place(row)}: expected Normal or Attack, came {cell[:40]!r}")
        found[row] = FLAGS[word]
    return found
