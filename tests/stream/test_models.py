import shutil
from pathlib import Path

import pytest

from service.errors import BadPoints, BundleInvalid, UnknownBundle
from service.scoring.bundle import load_bundle, write_manifest
from service.stream.messages import Point
from service.stream.models import Models
from service.stream.posted import Posted


def with_other(folder: Path, bundle_folder: Path, *, entities: tuple[str, ...]) -> Path:
    """A folder of two bundles: `tiny`, and a copy of it named `other` for other entities."""
    for name in ("tiny", "other"):
        shutil.copytree(bundle_folder / "tiny", folder / name)
    bundle = load_bundle(folder / "other")
    update = {"name": "other", "entities": entities}
    renamed = write_manifest(bundle.folder, bundle.manifest.model_copy(update=update))
    bundle.folder.rename(folder / "other" / renamed.version)
    (folder / "other" / "current").write_text(renamed.version)
    return folder


@pytest.fixture
def two_bundles(tmp_path: Path, bundle_folder: Path) -> Path:
    return with_other(tmp_path, bundle_folder, entities=("delta", "epsilon"))


def test_an_entity_is_scored_by_the_bundle_that_was_trained_on_it(two_bundles: Path) -> None:
    models = Models(two_bundles, default=None)
    assert (models.serving.name_of("alpha"), models.serving.name_of("delta")) == ("tiny", "other")
    with pytest.raises(UnknownBundle, match="no default"):
        models.serving.fold_of("gamma")


def test_any_other_entity_is_scored_by_the_default(two_bundles: Path) -> None:
    assert Models(two_bundles, default="other").serving.name_of("gamma") == "other"


def test_the_only_bundle_is_the_default(bundle_folder: Path) -> None:
    assert Models(bundle_folder, default=None).serving.name_of("gamma") == "tiny"


def test_a_default_that_is_not_there_stops_the_start(bundle_folder: Path) -> None:
    with pytest.raises(UnknownBundle, match="tiny"):
        Models(bundle_folder, default="huge")


def test_an_empty_folder_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(UnknownBundle, match="found none"):
        Models(tmp_path, default=None)


def test_an_entity_of_two_bundles_stops_the_start(tmp_path: Path, bundle_folder: Path) -> None:
    with pytest.raises(BundleInvalid, match="two bundles"):
        Models(with_other(tmp_path, bundle_folder, entities=("beta", "delta")), default=None)


def test_the_budget_of_the_operator_replaces_that_of_the_bundle(bundle_folder: Path) -> None:
    assert Models(bundle_folder, default=None, budget=0.5).serving.folds["tiny"].budget == 0.5
    assert Models(bundle_folder, default=None).serving.folds["tiny"].budget == 5.0


def test_without_a_default_unknown_entities_are_listed_as_bad(two_bundles: Path) -> None:
    models = Models(two_bundles, default=None)
    with pytest.raises(BadPoints) as caught:
        models.serving.check(
            Posted.of(
                [Point("alpha", 1, [0.0] * 4), Point("gamma", 1, [0.0] * 4), Point("d", 1, [])]
            )
        )
    codes = [(e["index"], e["code"]) for e in caught.value.errors]
    assert codes == [(1, "unknown_bundle"), (2, "unknown_bundle")]


@pytest.mark.parametrize(
    "name", ["", ".", "..", "/", "*", "t*", "tiny/", "x" * 300, "\u00fc" * 200]
)
def test_a_name_that_no_folder_can_have_is_unknown(bundle_folder: Path, name: str) -> None:
    models = Models(bundle_folder, default="tiny")
    with pytest.raises(UnknownBundle):
        models.versions(name)
    with pytest.raises(UnknownBundle):
        models.folder_of(name, "x")
