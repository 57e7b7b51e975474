"""SMAP and MSL as telemanom publishes them: an array per channel, and one list of anomalies.

    data/train/P-1.npy  data/test/P-1.npy  labeled_anomalies.csv

Ranges of the list include their end. It has two overlapping rows of P-2, whose union is taken;
OmniAnomaly's preparation leaves the channel out. Who is to blame is not published.
"""

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from service.errors import BadSeries
from service.scoring.series import Part, Series
from trainer.layouts.arrays import count_rows, read_matrix
from trainer.layouts.source import BoolArray, Source, sibling

LIST = "labeled_anomalies.csv"
COLUMNS = {"chan_id", "spacecraft", "anomaly_sequences"}


@dataclass
class _Channel:
    """What the list says of one channel."""

    spacecraft: str
    rows: int = 0
    ranges: list[tuple[int, int]] = field(default_factory=list)  # end included


def read(source: Source, part: Part, *, spacecraft: str | None = None) -> list[Series]:
    """One half of every channel (of one spacecraft), or of the one whose array it is."""
    path = source.path
    root = path.parent.parent if path.is_file() else path
    root = root / "data" if (root / "data" / "train").is_dir() else root
    listed = _listed(root)
    files = [root / part / path.name] if path.is_file() else sorted((root / part).glob("*.npy"))
    if spacecraft is not None:
        files = [f for f in files if f.stem in listed and listed[f.stem].spacecraft == spacecraft]
    series = [_channel(source, root, file, listed=listed, part=part) for file in files]
    widths = sorted({len(one.dimensions) for one in series})
    if len(widths) > 1:
        source.tell(f"{root}: channels of {widths} dimensions: choose --layout smap or msl")
    return series


def _channel(
    source: Source, root: Path, file: Path, *, listed: Mapping[str, _Channel], part: Part
) -> Series:
    values, entity = read_matrix(file), file.stem
    if part == "train":
        return source.series(entity, values)
    train = root / "train" / file.name
    first_row = count_rows(train) if train.is_file() else 0
    known = listed.get(entity)
    if known is None:
        source.tell(f"{file}: {LIST} does not list this channel, so it has no label")
        return source.series(entity, values, first_row=first_row)
    if known.rows > 1:
        source.tell(f"{entity}: {known.rows} rows of {LIST}; labelled is what any of them marks")
    label = _label(file, known, count=len(values))
    return source.series(entity, values, first_row=first_row, label=label)


def _label(file: Path, channel: _Channel, *, count: int) -> BoolArray:
    label = np.zeros(count, np.bool_)
    for start, end in channel.ranges:
        if not 0 <= start <= end < count:
            raise BadSeries(
                f"{file}: expected ranges of {LIST} within {count} points, came [{start}, {end}]"
            )
        label[start : end + 1] = True
    return label


def _listed(root: Path) -> Mapping[str, _Channel]:
    """The list beside the arrays or up to two folders above them; raises BadSeries."""
    path = sibling(root, LIST, levels=2)
    if path is None:
        raise BadSeries(f"{root}: expected {LIST} here or above, found none")
    try:
        return _read_list(path)
    except (OSError, UnicodeDecodeError, csv.Error) as problem:
        raise BadSeries(f"{path}: expected CSV text in UTF-8: {problem}") from problem


def _read_list(path: Path) -> Mapping[str, _Channel]:
    channels: dict[str, _Channel] = {}
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, restval="")
        if missing := sorted(COLUMNS - set(reader.fieldnames or ())):
            raise BadSeries(f"{path}: row 1: expected the columns {sorted(COLUMNS)}, no {missing}")
        for row in reader:
            channel = channels.setdefault(row["chan_id"], _Channel(row["spacecraft"]))
            channel.rows += 1
            channel.ranges += _ranges(f"{path}: row {reader.line_num}", row["anomaly_sequences"])
    return channels


def _ranges(place: str, text: str) -> list[tuple[int, int]]:
    try:
        return [(int(start), int(end)) for start, end in json.loads(text)]
    except (TypeError, ValueError) as problem:
        raise BadSeries(
            f"{place}, column anomaly_sequences: expected [[start, end], ...], came {text[:40]!r}"
        ) from problem
