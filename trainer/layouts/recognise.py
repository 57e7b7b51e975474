"""Which layout a path has: by what is in it, or as it is told."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

from service.scoring.series import Part, Series
from trainer.layouts import asd, nab, psm, skab, smd, swat, telemanom, wadi
from trainer.layouts.arrays import is_bare
from trainer.layouts.source import Source, sibling
from trainer.layouts.table import has_header

Layout = Literal[
    "plain", "smd", "smap", "msl", "telemanom", "swat", "wadi", "nab", "skab", "psm", "asd"
]
Read = Callable[[Source, Part], list[Series]]

LAYOUTS: Final[Mapping[Layout, Read]] = MappingProxyType(
    {
        "smd": smd.read,
        "smap": partial(telemanom.read, spacecraft="SMAP"),
        "msl": partial(telemanom.read, spacecraft="MSL"),
        "telemanom": telemanom.read,
        "swat": swat.read,
        "wadi": wadi.read,
        "nab": nab.read,
        "skab": skab.read,
        "psm": psm.read,
        "asd": asd.read,
    }
)
ONE_HALF: Final = frozenset({"swat", "wadi"})  # a file of these is one half, as plain CSV is
FILES_LOOKED_AT = 200  # of a folder whose CSV files are no layout


class Seen(NamedTuple):
    """A layout, and what it was recognised by."""

    layout: Layout
    why: str


def recognise(path: Path) -> Seen:
    """What is at a path; `plain` is NPZ, CSV, Parquet or JSON. Raises BadSeries for pickles."""
    asd.refuse_pickles(path)
    found = _arrays(path) or (_file(path) if path.is_file() else _folder(path))
    return found or Seen("plain", "plain files")


def _arrays(path: Path) -> Seen | None:
    """Folders called train and test with a file per entity, or one of these files."""
    root = path.parent.parent if path.is_file() else path
    if path.is_file() and path.parent.name not in {"train", "test"}:
        return None
    if machines := len(list((root / "train").glob("*.txt"))):
        return Seen("smd", f"train/*.txt of {machines} machines")
    root = root / "data" if (root / "data" / "train").is_dir() else root
    channels = len(list((root / "train").glob("*.npy")))
    if channels and sibling(root, telemanom.LIST, levels=2):
        return Seen("telemanom", f"train/*.npy of {channels} channels and {telemanom.LIST}")
    return None


def _file(path: Path) -> Seen | None:
    if path.suffix.lower() != ".csv":
        return None
    if has_header(path, swat.CLOCK, swat.LABEL):
        return Seen("swat", "a column Normal/Attack")
    if has_header(path, "row", "date", "time", "1_ait_001_pv"):
        return Seen("wadi", "columns Row, Date, Time and 1_AIT_001_PV")
    if has_header(path, skab.CLOCK, skab.LABEL, skab.IGNORED):
        return Seen("skab", "columns anomaly and changepoint")
    if has_header(path, *nab.HEADER) and sibling(path.parent, nab.WINDOWS, levels=3):
        return Seen("nab", f"a series of timestamp and value, and {nab.WINDOWS} above it")
    return None


def _folder(path: Path) -> Seen | None:
    halves = path / "train.csv", path / "test.csv"
    if all(file.is_file() and has_header(file, psm.CLOCK) for file in halves):
        return Seen("psm", f"train.csv and test.csv with a column {psm.CLOCK}")
    processed = path / "processed" if (path / "processed").is_dir() else path
    asd.refuse_pickles(processed)
    split = [file for file in asd.arrays_of(processed) if file.stem.endswith("_train")]
    if split and all(map(is_bare, split)):
        return Seen("asd", f"an array for each half of {len(split)} entities")
    seen = (_file(file) for file in islice(_tables(path), FILES_LOOKED_AT))
    return next((one for one in seen if one), None)


def _tables(path: Path) -> Iterator[Path]:
    return (file for pattern in ("*.csv", "*/*.csv", "*/*/*.csv") for file in path.glob(pattern))
