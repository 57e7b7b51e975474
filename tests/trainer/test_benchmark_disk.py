from dataclasses import replace
from pathlib import Path

import pytest

from service.errors import SettingInvalid, TrainingFailed
from service.scoring.series import Series
from tests.builders import series_like
from trainer.benchmark.disk import digest_of_series, only_writer, whole_folder, write_whole


def changed(series: Series) -> list[Series]:
    values, label = series.values.copy(), series.values[:, 0] > 0
    values[3, 1] += 1e-9
    return [
        replace(series, values=values),
        replace(series, label=label),
        replace(series, timestamps_ms=series.timestamps_ms + 1),
        replace(series, dimensions=("a", "b", "d", "c")),
        replace(series, entity="omega"),
    ]


def test_the_digest_of_a_series_is_of_everything_in_it() -> None:
    series = series_like("alpha", 50)
    digests = [digest_of_series(one) for one in (series, *changed(series))]
    assert len(set(digests)) == len(digests)
    assert digest_of_series(series_like("alpha", 50)) == digests[0]


def drafts(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if "draft" in path.name or path.name == "half"]


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "a" / "file"
    write_whole(path, b"old")
    with pytest.raises(TypeError):
        write_whole(path, "text")  # type: ignore[arg-type]
    assert path.read_bytes() == b"old"


def test_a_folder_that_is_not_finished_leaves_the_old_one(tmp_path: Path) -> None:
    for content in ("old", "new"):
        try:
            with whole_folder(tmp_path / "folder") as draft:
                (draft / "file").write_text(content)
                if content == "new":
                    raise TrainingFailed("no")
        except TrainingFailed:
            pass
    assert (tmp_path / "folder" / "file").read_text() == "old"
    assert drafts(tmp_path) == []


def test_only_one_benchmark_writes_into_a_folder(tmp_path: Path) -> None:
    with (
        only_writer(tmp_path),
        pytest.raises(SettingInvalid, match="another benchmark"),
        only_writer(tmp_path),
    ):
        pass
    with only_writer(tmp_path):
        pass


def test_a_file_cannot_be_the_output(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    with pytest.raises(SettingInvalid, match="cannot write"), only_writer(path):
        pass
