"""The whole configuration, and how it is read."""

from __future__ import annotations

import difflib
import json
import os
import sys
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args, get_origin

import platformdirs
from pydantic import BaseModel, Field, PrivateAttr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from posewire.shared.errors import ConfigError
from posewire.shared.redact import redact
from posewire.shared.settings._environment import PREFIX, SHORTHANDS
from posewire.shared.settings.api import ApiSettings, TelemetrySettings
from posewire.shared.settings.bus import BusSettings, DatabaseSettings
from posewire.shared.settings.cameras import CameraSettings, CaptureSettings, Name, SourceSettings
from posewire.shared.settings.inference import InferenceSettings
from posewire.shared.settings.integrations import IntegrationsSettings
from posewire.shared.settings.retention import RetentionSettings
from posewire.shared.settings.tracker import TrackerSettings

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DEFAULT_FILE = Path("posewire.toml")


def _demo_sources() -> dict[Name, SourceSettings]:
    return {
        "demo": SourceSettings(url="clip:people", loop=True),
        "store-aisle": SourceSettings(
            url="https://raw.githubusercontent.com/intel-iot-devkit/sample-videos/master/"
            "store-aisle-detection.mp4",
            loop=True,
        ),
        "camera": SourceSettings(url="0"),
    }


def _demo_cameras() -> dict[Name, CameraSettings]:
    return {"main": CameraSettings(source="demo")}


class Settings(BaseSettings):
    """The whole configuration of Posewire."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True
    )

    bus: BusSettings = BusSettings()
    database: DatabaseSettings = DatabaseSettings()
    sources: dict[Name, SourceSettings] = Field(
        default_factory=_demo_sources, description="Everything a camera may play, by name."
    )
    cameras: dict[Name, CameraSettings] = Field(
        default_factory=_demo_cameras, description="The cameras, by name."
    )
    capture: CaptureSettings = CaptureSettings()
    inference: InferenceSettings = InferenceSettings()
    tracker: TrackerSettings = TrackerSettings()
    api: ApiSettings = ApiSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    integrations: IntegrationsSettings = IntegrationsSettings()
    retention: RetentionSettings = RetentionSettings()
    data_dir: Path = Field(
        default_factory=lambda: Path(platformdirs.user_data_dir("posewire", appauthor=False)),
        description="Where the embedded servers keep their data.",
    )

    _elsewhere: tuple[Name, ...] = PrivateAttr(())

    @property
    def cameras_elsewhere(self) -> tuple[Name, ...]:
        """Cameras that are switched off here only because other workers serve them."""
        return self._elsewhere

    def serving_only(self, names: Collection[str]) -> Settings:
        """Return these settings with all cameras but those of ``names`` switched off."""
        others = [n for n, camera in self.cameras.items() if camera.enabled and n not in names]
        off = {name: self.cameras[name].model_copy(update={"enabled": False}) for name in others}
        settings = self.model_copy(update={"cameras": self.cameras | off})
        settings._elsewhere = tuple(others)
        return settings

    @model_validator(mode="after")
    def _cameras_have_sources(self) -> Settings:
        for name, camera in self.cameras.items():
            if camera.source not in self.sources:
                known = ", ".join(sorted(self.sources)) or "nothing"
                raise ValueError(
                    f"cameras.{name}.source is {camera.source!r}, but [sources] has {known}"
                    f"{_hint(camera.source, self.sources)}"
                )
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """``load_settings`` has merged file, environment and command line already."""
        return (init_settings,)


def load_settings(path: Path | None = None, overrides: Mapping[str, Any] | None = None) -> Settings:
    """Read the configuration.

    Order, the first wins: ``overrides`` (the command line), the environment, the file, defaults.

    Args:
        path: the file; None takes ``POSEWIRE_CONFIG``, else ``posewire.toml`` where it exists.
        overrides: nested values, as in the file.

    Raises:
        ConfigError: missing or malformed file, unknown key (the nearest known one is named), or
            a value out of bounds. Unknown variables are no error: ``unknown_variables`` tells them.
    """
    if path is None and (named := os.environ.get("POSEWIRE_CONFIG")):
        path = Path(named)
    where = path or DEFAULT_FILE
    values = _read_file(where) if path or where.exists() else {}
    environment = EnvSettingsSource(Settings)()
    for variable, keys in SHORTHANDS.items():
        if variable in os.environ:
            _set(values, keys, os.environ[variable])
    _merge(values, environment)
    _merge(values, overrides or {})
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise ConfigError(_explain(error, where if where.exists() else None)) from None


def _read_file(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(
            f"configuration file {path} does not exist; 'posewire config schema' says what goes in"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"configuration file {path} cannot be read: {error}") from None
    if path.suffix == ".json":  # what a supervisor hands to its children
        return dict(json.loads(text))
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"configuration file {path} is not valid TOML: {error}") from None


def _merge(into: dict[str, Any], other: Mapping[str, Any]) -> None:
    for key, value in other.items():
        if isinstance(value, Mapping) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = dict(value) if isinstance(value, Mapping) else value


def _set(values: dict[str, Any], keys: tuple[str, ...], value: str) -> None:
    for key in keys[:-1]:
        values = values.setdefault(key, {})
    values[keys[-1]] = value


def _explain(error: ValidationError, path: Path | None) -> str:
    lines = []
    for problem in error.errors(include_url=False):
        where = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            siblings = set(_siblings(problem["loc"]))
            lines.append(f"unknown key {where}{_hint(str(problem['loc'][-1]), siblings)}")
        else:
            got = problem.get("input")
            # A URL that cannot be read may hold its password anywhere.
            secret = problem["loc"][-1:] == ("secret",) or problem["loc"] == ("bus", "url")
            hidden = secret or isinstance(got, (dict, BaseModel))
            shown = "" if hidden else f" (got {redact(repr(got))})"
            lines.append(f"{where + ': ' if where else ''}{problem['msg']}{shown}")
    head = f"configuration ({path or 'environment and defaults'}):"
    return "\n  ".join([head, *lines])


def _siblings(location: tuple[int | str, ...]) -> Iterator[str]:
    """Names of the fields of the model in which ``location``'s last part was not expected."""
    model: Any = Settings
    for part in location[:-1]:
        if isinstance(model, type) and issubclass(model, BaseModel):
            field = model.model_fields.get(str(part))
            model = field.annotation if field else None
            if get_origin(model) is dict:
                model = _Values(get_args(model)[1])
        elif isinstance(model, _Values):
            model = model.model
    if isinstance(model, type) and issubclass(model, BaseModel):
        yield from model.model_fields


class _Values:
    """The values of a table with free names, such as [cameras.entrance]."""

    def __init__(self, model: type[BaseModel]) -> None:
        self.model = model


def _hint(key: str, known: object) -> str:
    names = sorted(str(name) for name in known) if isinstance(known, (set, dict)) else []
    near = difflib.get_close_matches(key, names, n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(names)}"
