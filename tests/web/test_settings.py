from pathlib import Path

import pytest

from service.errors import SettingInvalid
from service.settings import Settings, read_settings

KEY = "a-long-enough-key-1"


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(f"GAUGEWATCH_{name.upper()}", raising=False)


def test_the_defaults_are_safe_on_a_laptop() -> None:
    settings = read_settings()
    assert (settings.host, settings.port, settings.redis_url) == ("127.0.0.1", 8080, None)
    assert (settings.durability, settings.api_keys) == ("always", ())


def test_every_setting_is_described() -> None:
    assert all(field.description for field in Settings.model_fields.values())


def test_variables_are_read_and_arguments_overrule_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GAUGEWATCH_PORT", "9000")
    monkeypatch.setenv("GAUGEWATCH_METRICS_ENTITIES", "7")
    monkeypatch.setenv("GAUGEWATCH_ORIGINS", "https://a.example, https://b.example,")
    settings = read_settings(port=9001)
    assert (settings.port, settings.metrics_entities) == (9001, 7)
    assert settings.origins == ("https://a.example", "https://b.example")


def test_empty_means_none_where_none_is_possible(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REDIS_URL", "DEFAULT_BUNDLE", "FALSE_ALARM_BUDGET", "API_KEYS"):
        monkeypatch.setenv(f"GAUGEWATCH_{name}", "")
    settings = read_settings()
    assert (settings.redis_url, settings.default_bundle) == (None, None)
    assert settings.false_alarm_budget is None
    assert settings.api_keys == ()


def test_a_typo_is_found_with_what_was_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GAUGEWATCH_REDIS_URI", "redis://x")
    with pytest.raises(
        SettingInvalid, match=r"GAUGEWATCH_REDIS_URI is not .* GAUGEWATCH_REDIS_URL"
    ):
        read_settings()


def test_the_folder_of_test_data_is_no_setting_and_no_typo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GAUGEWATCH_DATA", "/data")
    read_settings()


def test_a_bad_value_is_named_by_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GAUGEWATCH_PORT", "many")
    with pytest.raises(SettingInvalid, match=r"GAUGEWATCH_PORT: .*integer"):
        read_settings()


@pytest.mark.parametrize("number", ["0", "-1", "inf", "-inf", "nan"])
@pytest.mark.parametrize("name", ["FALSE_ALARM_BUDGET", "SHUTDOWN_SECONDS"])
def test_numbers_are_finite_and_more_than_nothing(
    monkeypatch: pytest.MonkeyPatch, name: str, number: str
) -> None:
    monkeypatch.setenv(f"GAUGEWATCH_{name}", number)
    with pytest.raises(SettingInvalid, match=name):
        read_settings()


@pytest.mark.parametrize("keys", ["short", f"{KEY},short", "with a space in it", "sl/ash" * 5])
def test_weak_keys_are_refused_and_never_shown(monkeypatch: pytest.MonkeyPatch, keys: str) -> None:
    monkeypatch.setenv("GAUGEWATCH_API_KEYS", keys)
    with pytest.raises(SettingInvalid) as refusal:
        read_settings()
    assert keys not in str(refusal.value)
    assert refusal.value.__suppress_context__


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "example.org", ""])
def test_beyond_the_loopback_keys_are_required(host: str) -> None:
    with pytest.raises(SettingInvalid, match="API_KEYS"):
        read_settings(host=host)
    assert read_settings(host=host, api_keys=KEY).host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_the_loopback_needs_no_key(host: str) -> None:
    assert read_settings(host=host).host == host


def test_settings_are_frozen_and_hide_secrets() -> None:
    settings = read_settings(api_keys=KEY, redis_url="redis://:password@host")
    assert KEY not in repr(settings)
    assert "password" not in repr(settings)
    with pytest.raises(ValueError, match="frozen"):
        settings.port = 1  # type: ignore[misc]


def test_bundles_are_found_beside_the_code_unless_they_are_here(tmp_path: Path) -> None:
    (tmp_path / "exported_models").mkdir()
    assert read_settings().bundles == Path("exported_models")


def test_replicas_need_a_redis_that_has_some() -> None:
    with pytest.raises(SettingInvalid, match="GAUGEWATCH_REDIS_URL, because the private"):
        read_settings(durability="replicated")
    chosen = read_settings(durability="replicated", redis_url="redis://localhost", replicas=2)
    assert chosen.replicas == 2
