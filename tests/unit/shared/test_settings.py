"""Settings: where values come from, and what is said about wrong ones."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from posewire.shared.errors import ConfigError
from posewire.shared.settings import (
    DatabaseSettings,
    Settings,
    load_settings,
    unknown_variables,
)


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(text: str) -> Path:
    path = Path("posewire.toml")
    path.write_text(text)
    return path


def test_without_a_file_the_demo_is_configured() -> None:
    settings = load_settings()
    assert settings.cameras["main"].source == "demo"
    assert settings.sources["demo"].url == "clip:people"
    assert settings.sources["store-aisle"].url.endswith("store-aisle-detection.mp4")


def test_the_command_line_wins_over_the_environment_over_the_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write('[bus]\nurl = "redis://file"\nlease_s = 7\n[api]\nport = 1\n')
    assert load_settings().bus.url == "redis://file"
    monkeypatch.setenv("POSEWIRE_BUS__URL", "redis://environment")
    settings = load_settings()
    assert (settings.bus.url, settings.bus.lease_s) == ("redis://environment", 7)
    settings = load_settings(overrides={"bus": {"url": "redis://option"}})
    assert (settings.bus.url, settings.bus.lease_s) == ("redis://option", 7)


def test_the_models_folder_has_a_short_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSEWIRE_MODELS_DIR", "/models")
    assert load_settings().inference.models_dir == Path("/models")


def test_the_file_may_be_named_by_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = tmp_path / "other.toml"
    other.write_text("[api]\nport = 4321\n")
    monkeypatch.setenv("POSEWIRE_CONFIG", str(other))
    assert load_settings().api.port == 4321


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[bus]\nurll = "x"', r"unknown key bus\.urll; did you mean 'url'\?"),
        ("[inferense]", r"unknown key inferense; did you mean 'inference'\?"),
        (
            '[cameras.a]\nsource = "demo"\npolicie = "live"',
            r"cameras\.a\.policie; did you mean 'policy'",
        ),
        ('[cameras.a]\nsource = "dmo"', r"'dmo', but \[sources\] has .*did you mean 'demo'"),
        ("[tracker]\nexit_after_s = -1", r"tracker\.exit_after_s: .*\(got -1\)"),
        ("[bus]\nframes_maxlen = 32", r"lossless_window \(48\) must be below frames_maxlen \(32\)"),
        ('[cameras."Front Door"]\nsource = "demo"', r"cameras\.Front Door"),
        ("x = [", r"not valid TOML"),
        ('[sources.a]\nurl = ""', r"sources\.a\.url"),
        ('[inference]\ndevice = "TPU"', r"inference\.device: .*'CPU'.*\(got 'TPU'\)"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_explained(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load_settings(write(text))


def test_a_missing_file_is_named() -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml does not exist"):
        load_settings(Path("nowhere.toml"))


def test_unknown_variables_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = load_settings()
    for name in ("POSEWIRE_PORT", "POSEWIRE_TRAKER__EXIT_AFTER_S", "POSEWIRE_REDIS_SERVICE_HOST"):
        monkeypatch.setenv(name, "127.0.0.1:8000")
    assert load_settings() == expected


@pytest.mark.parametrize(
    ("variable", "told"),
    [
        ("POSEWIRE_TRAKER__EXIT_AFTER_S", "did you mean POSEWIRE_TRACKER__EXIT_AFTER_S?"),
        ("POSEWIRE_BUS_URL", "did you mean POSEWIRE_BUS__URL?"),
        ("POSEWIRE_MODEL_DIR", "did you mean POSEWIRE_MODELS_DIR?"),
        ("POSEWIRE_API_PORT", "did you mean POSEWIRE_API__PORT?"),
        ("POSEWIRE_XYZZY", "POSEWIRE_XYZZY is not a setting and is ignored"),
    ],
)
def test_an_unknown_variable_is_told(variable: str, told: str) -> None:
    (warning,) = unknown_variables(Settings, {variable: "se/cret", "POSEWIRE_API__PORT": "1"})
    assert warning.endswith(told)
    assert "se/cret" not in warning


def test_variables_of_the_deployments_are_known() -> None:
    """None of the names in deploy/ is warned of: people export them in their shells."""
    deploy = Path(__file__).resolve().parents[3] / "deploy"
    names: set[str] = set()
    for file in deploy.rglob("*"):
        if file.is_file() and file.suffix != ".png":
            names |= set(re.findall(r"\bPOSEWIRE_[A-Z0-9_]*[A-Z0-9]", file.read_text()))
    assert {"POSEWIRE_PORT", "POSEWIRE_BUS__URL", "POSEWIRE_GRAFANA_DB_HOST"} < names
    # Made by Kubernetes, and switched off there (enableServiceLinks).
    names.discard("POSEWIRE_REDIS_PORT")
    assert unknown_variables(Settings, dict.fromkeys(names, "1")) == []


def test_no_password_in_an_error() -> None:
    path = write('[sources.a]\nurl = "0"\nread_timeout_s = "rtsp://user:secret@host"')
    with pytest.raises(ConfigError) as error:
        load_settings(path)
    assert "secret" not in str(error.value)


def test_every_field_is_described() -> None:
    definitions = Settings.model_json_schema()["$defs"]
    bare = [
        f"{name}.{field}"
        for name, model in definitions.items()
        for field, schema in model.get("properties", {}).items()
        if not schema.get("description")
    ]
    assert bare == []


def test_the_database_password_may_come_from_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("a b/c@d\n")
    url = "postgresql://posewire@db:5433/posewire?sslmode=require"
    found = DatabaseSettings.model_validate({"url": url, "password_file": str(secret)})
    assert found.url == "postgresql://posewire:a%20b%2Fc%40d@db:5433/posewire?sslmode=require"
    own = DatabaseSettings.model_validate(
        {"url": "postgresql://posewire:own@db/posewire", "password_file": str(secret)}
    )
    assert own.url == "postgresql://posewire:own@db/posewire"
    again = DatabaseSettings.model_validate_json(found.model_dump_json())
    assert again.url == found.url
    with pytest.raises(ValueError, match="cannot be read"):
        DatabaseSettings.model_validate({"url": url, "password_file": str(tmp_path / "none")})
    with pytest.raises(ValueError, match="url is not"):
        DatabaseSettings.model_validate({"password_file": str(secret)})
