from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from service.errors import SettingInvalid
from service.scoring.bundle import Bundle, load_bundle
from tests.builders import loaded_tiny_bundle
from trainer.config import CONFIGS, Config, preset
from trainer.recipe import Source, configured, of_bundle, of_file, of_pairs, together


def toml(folder: Path, text: str) -> Source:
    path = folder / "own.toml"
    path.write_text(text)
    return of_file(path)


def bundle_of(folder: Path, config: Config) -> Bundle:
    """A bundle that says it was trained so."""
    made = loaded_tiny_bundle(folder)
    training = {**config.model_dump(exclude_none=True), "best_epoch": 3, "torch": "2.13.0"}
    return Bundle(
        made.folder, made.manifest.model_copy(update={"training": training}), made.calibration
    )


ROOT = Path(__file__).parents[2]
NO_FLAGS = Source({})
SHIPPED = sorted(path.parent for path in ROOT.glob("exported_models/*/*/bundle.json"))


def test_nothing_said_is_the_small_preset_of_the_default_model() -> None:
    assert configured(NO_FLAGS) == preset("small")


def test_flags_win_over_the_file_and_the_file_over_the_preset(tmp_path: Path) -> None:
    file = toml(tmp_path, 'model = "gru_vae"\npreset = "base"\nhidden = 20\nlatent = 2\n')
    config = configured(together({"seed": 4}, of_pairs(["latent=3"])), file=file)
    assert config == preset("base", model="gru_vae", hidden=20, latent=3, seed=4)


def test_the_file_wins_over_the_bundle(tmp_path: Path) -> None:
    trained = preset("base", model="gru_vae", cell="lstm", hidden=30, pca_components=2)
    like = of_bundle(bundle_of(tmp_path, trained))
    config = configured(Source({"seed": 9}), file=toml(tmp_path, "hidden = 40\n"), like=like)
    assert config == preset(
        "base", model="gru_vae", cell="lstm", hidden=40, pca_components=2, seed=9
    )


@given(st.sampled_from(sorted(CONFIGS)), st.integers(0, 5))
def test_a_manifest_gives_back_the_configuration_of_any_model(model: str, seed: int) -> None:
    config = preset("small", model=model, seed=seed)  # type: ignore[arg-type]
    told = config.model_dump(exclude_none=True)
    assert configured(NO_FLAGS, like=Source(told, "one/abc")) == config


@pytest.mark.parametrize(
    "folder", SHIPPED, ids=lambda folder: f"{folder.parent.name}-{folder.name}"
)
def test_a_shipped_bundle_gives_back_its_configuration(folder: Path) -> None:
    like = of_bundle(load_bundle(folder))
    config = configured(NO_FLAGS, like=like)
    told = config.model_dump(exclude_none=True)
    assert {key: told[key] for key in like.knobs} == dict(like.knobs)


def test_a_bundle_of_another_model_is_refused(tmp_path: Path) -> None:
    like = of_bundle(bundle_of(tmp_path, preset("small", model="gru_vae")))
    with pytest.raises(SettingInvalid, match="is a gru_vae, and slmr is asked for"):
        configured(Source({"model": "slmr"}), like=like)


def test_a_preset_beside_a_bundle_is_refused(tmp_path: Path) -> None:
    like = of_bundle(bundle_of(tmp_path, preset("small")))
    with pytest.raises(SettingInvalid, match="expected a preset or the knobs of"):
        configured(Source({"preset": "base"}), like=like)


def test_a_bundle_that_does_not_tell_how_it_was_trained_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingInvalid, match="does not tell how it was trained"):
        of_bundle(loaded_tiny_bundle(tmp_path))


def test_an_unknown_key_is_named_with_its_line_and_those_near_it(tmp_path: Path) -> None:
    file = toml(tmp_path, 'model = "gru_vae"\n\n# comment\nlatnet = 3\n')
    with pytest.raises(SettingInvalid, match=r"own\.toml, line 4: .*'latnet'; near it: latent"):
        configured(NO_FLAGS, file=file)
    with pytest.raises(
        SettingInvalid, match=r"an option: blind_spot has no knob 'hidden_'; near it"
    ):
        configured(Source({"hidden_": 3}))
    with pytest.raises(SettingInvalid, match="'zzzz'; known are model, preset, seed"):
        configured(Source({"zzzz": 3}))


def test_a_knob_of_another_model_is_unknown() -> None:
    with pytest.raises(SettingInvalid, match="pca has no knob 'learning_rate'"):
        configured(Source({"model": "pca", "learning_rate": 1.0}))


def test_a_value_out_of_range_is_named_with_its_line(tmp_path: Path) -> None:
    file = toml(tmp_path, "seed = 1\nhidden = 0\n")
    with pytest.raises(SettingInvalid, match=r"hidden \(.*own\.toml, line 2\): Input should be"):
        configured(NO_FLAGS, file=file)


@pytest.mark.parametrize(("key", "near"), [("gru-vae", "gru_vae"), ("blindspot", "blind_spot")])
def test_an_unknown_model_is_named_with_those_near_it(tmp_path: Path, key: str, near: str) -> None:
    with pytest.raises(SettingInvalid, match=f"line 1: there is no model '{key}'; near it: {near}"):
        configured(NO_FLAGS, file=toml(tmp_path, f'model = "{key}"\n'))


def test_an_unknown_preset_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingInvalid, match="there is no preset 'smaller'; near it: small"):
        configured(NO_FLAGS, file=toml(tmp_path, 'preset = "smaller"\n'))
    with pytest.raises(SettingInvalid, match="expected a preset of pca"):
        configured(Source({"model": "pca", "preset": "paper"}))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("hidden = \n", "is not TOML"),
        ("hidden = 3\nhidden = 4\n", "is not TOML"),
        (
            "seed = 1\n[knobs]\nhidden = 3\n",
            r"line 2: expected knob = value, got the table 'knobs'",
        ),
    ],
)
def test_a_file_that_is_not_knob_equals_value_is_refused(
    tmp_path: Path, text: str, told: str
) -> None:
    with pytest.raises(SettingInvalid, match=told):
        toml(tmp_path, text)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingInvalid, match=r"cannot read .*: No such file"):
        of_file(tmp_path / "none.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingInvalid, match="is not TOML"):
        of_file(tmp_path / "bytes.toml")


def test_text_of_a_flag_becomes_what_the_knob_holds() -> None:
    pairs = of_pairs(["hidden=7", "min_change = 0.5", "members=raw,network", "pca_components=none"])
    config = configured(Source(pairs))
    assert config == preset("small", hidden=7, min_change=0.5, members=("raw", "network"))
    free = of_pairs(["flow_type=none", "is_connected_q=false", "is_int8=none"])
    gru_vae = configured(together({"model": "gru_vae"}, free))
    assert gru_vae == preset("small", model="gru_vae", flow_type="none", is_connected_q=False)


@pytest.mark.parametrize("pair", ["hidden", "=3", ""])
def test_a_flag_that_is_no_pair_is_refused(pair: str) -> None:
    with pytest.raises(SettingInvalid, match="expected key=value"):
        of_pairs([pair])


def test_a_knob_given_twice_is_refused() -> None:
    with pytest.raises(SettingInvalid, match="hidden was given twice"):
        of_pairs(["hidden=3", "hidden=4"])
    with pytest.raises(SettingInvalid, match="seed was given twice"):
        together({"seed": 1}, {"seed": "1"})
