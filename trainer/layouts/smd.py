"""SMD as OmniAnomaly publishes it: a text file per machine, comma-separated, without a header.

    train/machine-1-1.txt  test/...  test_label/...  interpretation_label/...

Ranges of interpretation labels leave their end out, dimensions in them count from 1.
"""

from pathlib import Path

from service.scoring.series import Part, Series
from trainer.layouts.arrays import count_rows, read_label, read_matrix
from trainer.layouts.interpretation import read_interpretation
from trainer.layouts.source import Source


def read(source: Source, part: Part) -> list[Series]:
    """One half of every machine, or of the one whose train or test file it is."""
    path = source.path
    root = path.parent.parent if path.is_file() else path
    files = [path] if path.is_file() else sorted((root / part).glob("*.txt"))
    return [_machine(source, root, file.stem, part=part) for file in files]


def _machine(source: Source, root: Path, entity: str, *, part: Part) -> Series:
    name = f"{entity}.txt"
    values = read_matrix(root / part / name)
    if part == "train":
        return source.series(entity, values)
    train = root / "train" / name
    first_row = count_rows(train) if train.is_file() else 0
    if not (root / "test_label" / name).is_file():
        return source.series(entity, values, first_row=first_row)
    label = read_label(root / "test_label" / name, len(values))
    blamed = root / "interpretation_label" / name
    segments = (
        read_interpretation(
            blamed, source, label=label, width=values.shape[1], is_end_included=False
        )
        if blamed.is_file()
        else ()
    )
    return source.series(entity, values, first_row=first_row, label=label, segments=segments)
