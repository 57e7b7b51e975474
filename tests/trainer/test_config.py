import pytest

from service.errors import SettingInvalid
from trainer.config import Model, Preset, preset, restored
from trainer.presets_window import WINDOW_PRESETS

KNOWN: list[tuple[Model, Preset]] = [
    ("blind_spot", "small"),
    ("blind_spot", "base"),
    ("gru_vae", "small"),
    ("gru_vae", "base"),
    ("gru_vae", "paper"),
    ("gru_vae", "omnianomaly"),
    ("linear", "small"),
    ("pca", "small"),
    ("slmr", "small"),
    ("slmr", "base"),
    *WINDOW_PRESETS,
]


@pytest.mark.parametrize(("model", "name"), KNOWN)
def test_configuration_survives_the_flat_values_of_a_manifest(model: Model, name: Preset) -> None:
    config = preset(name, model=model, seed=4, members=("pca", "raw"))
    flat = config.model_dump(exclude_none=True)
    assert {type(value) for value in flat.values()} <= {str, int, float, bool}
    assert restored({**flat, "best_epoch": 3, "torch": "2.13.0"}) == config


def test_blind_spot_with_every_member_is_the_default() -> None:
    config = preset("small")
    assert config.model == "blind_spot"
    assert config.members == ("raw", "pca", "leave_one_out", "nearest", "network")


def test_linear_model_has_no_network() -> None:
    assert preset("small", model="linear").members == ("raw", "pca", "leave_one_out", "nearest")
    with pytest.raises(SettingInvalid, match="linear cannot have members"):
        preset("small", model="linear", members=("raw", "network"))
    with pytest.raises(SettingInvalid, match="epochs"):
        preset("small", model="linear", epochs=3)


@pytest.mark.parametrize("members", [(), ("raw", "raw"), "raw,raw"])
def test_members_are_at_least_one_and_each_only_once(members: object) -> None:
    with pytest.raises(SettingInvalid, match="at least one member and each only once"):
        preset("small", members=members)


def test_knob_of_another_model_is_refused() -> None:
    with pytest.raises(SettingInvalid, match="blind_spot cannot have flows: "):
        preset("small", flows=3)
    with pytest.raises(SettingInvalid, match=r"seed: .*; hidden: "):
        preset("small", seed=-1, hidden=0)


def test_preset_a_model_does_not_have_is_refused_with_those_it_has() -> None:
    with pytest.raises(SettingInvalid, match=r"of blind_spot \(small, base\), got 'paper'"):
        preset("paper")


def test_a_younger_knob_is_told_only_where_it_is_not_the_default() -> None:
    """Else every bundle of before would get another version."""
    assert "cell" not in preset("small", model="gru_vae").model_dump()
    assert preset("small", model="gru_vae", cell="lstm").model_dump()["cell"] == "lstm"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"is_standardised": False}, "needs is_linear_skip = false"),
        ({"is_int8": True, "cell": "lstm"}, "needs cell = gru"),
    ],
)
def test_knobs_that_contradict_each_other_are_refused(
    changes: dict[str, object], told: str
) -> None:
    with pytest.raises(SettingInvalid, match=told):
        preset("small", model="gru_vae", **changes)
