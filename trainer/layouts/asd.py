"""ASD as InterFusion arranges it, every array a file of its own.

    processed/omi-1_train.npy  omi-1_test.npy  omi-1_test_label.npy  interpretation_label/omi-1.txt

The published arrays are pickles, which run whatever code they hold when they are read: they are
refused, and NPY or text without a header is read in their place. Ranges of interpretation labels
include their end, dimensions in them count from 1.
"""

from pathlib import Path

from service.errors import BadSeries
from service.scoring.series import Part, Series
from trainer.layouts.arrays import SUFFIXES, count_rows, read_label, read_matrix
from trainer.layouts.interpretation import read_interpretation
from trainer.layouts.source import Source, sibling

READ = frozenset({*SUFFIXES, ".npz", ".parquet", ".json"})


def read(source: Source, part: Part) -> list[Series]:
    """One half of every entity; raises BadSeries."""
    folder = source.path / "processed"
    folder = folder if folder.is_dir() else source.path
    refuse_pickles(folder)
    ending = f"_{part}"
    files = [file for file in arrays_of(folder) if file.stem.endswith(ending)]
    return [_entity(source, folder, file.stem.removesuffix(ending), part=part) for file in files]


def arrays_of(folder: Path) -> list[Path]:
    """The files of a folder that may be arrays, by name."""
    return sorted(file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES)


def refuse_pickles(path: Path) -> None:
    """Raise BadSeries for a pickle, and for a folder of pickles without arrays."""
    files = [path] if path.is_file() else sorted(path.iterdir())
    pickles = [file for file in files if file.suffix.lower() in {".pkl", ".pickle"}]
    if pickles and not any(file.suffix.lower() in READ for file in files):
        raise BadSeries(
            f"{pickles[0]}: pickles are not read, for they run the code they hold; where you trust "
            "them, write each array with numpy.save(name.npy, array) and point here again"
        )


def _entity(source: Source, folder: Path, entity: str, *, part: Part) -> Series:
    values = read_matrix(_array(folder, f"{entity}_{part}"))
    if part == "train":
        return source.series(entity, values)
    train, labels = (_found(folder, f"{entity}_{name}") for name in ("train", "test_label"))
    first_row = count_rows(train) if train else 0
    if labels is None:
        return source.series(entity, values, first_row=first_row)
    label, width = read_label(labels, len(values)), values.shape[1]
    blamed = sibling(folder, f"interpretation_label/{entity}.txt", levels=2)
    segments = (
        read_interpretation(blamed, source, label=label, width=width, is_end_included=True)
        if blamed
        else ()
    )
    return source.series(entity, values, first_row=first_row, label=label, segments=segments)


def _found(folder: Path, stem: str) -> Path | None:
    return next((file for file in arrays_of(folder) if file.stem == stem), None)


def _array(folder: Path, stem: str) -> Path:
    found = _found(folder, stem)
    if found is None:
        raise BadSeries(f"{folder / stem}: expected an array of {', '.join(SUFFIXES)}, found none")
    return found
