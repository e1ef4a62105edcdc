"""From a command's options to settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from posewire.shared.errors import ConfigError
from posewire.shared.settings import Settings, load_settings

CLI_SOURCE = "cli"
"""Name of the source that ``--source`` makes."""
ALL_CAMERAS = "all"


def settings_for(
    config: Path | None,
    overrides: Mapping[str, Any],
    *,
    source: str | None = None,
    data_dir: Path | None = None,
) -> Settings:
    """Read the configuration with a command's options on top.

    ``source`` names a configured source or is a file, URL or device; the camera ``main``, or the
    first one, plays it. Raises ConfigError.
    """
    values = dict(overrides)
    if data_dir is not None:
        values["data_dir"] = str(data_dir.expanduser().absolute())
    settings = load_settings(config, values)
    if source is None:
        return settings
    if not settings.cameras:
        raise ConfigError("--source needs a camera to play it, but [cameras] is empty")
    camera = "main" if "main" in settings.cameras else next(iter(settings.cameras))
    name = source
    sources = {key: value.model_dump() for key, value in settings.sources.items()}
    if source not in settings.sources:
        name = CLI_SOURCE
        # A file is played again and again, as a camera would go on.
        sources[name] = {"url": _absolute(source), "loop": True}
    cameras = {key: value.model_dump() for key, value in settings.cameras.items()}
    cameras[camera]["source"] = name
    return load_settings(config, values | {"sources": sources, "cameras": cameras})


def only_cameras(settings: Settings, names: Sequence[str]) -> Settings:
    """Return ``settings`` with all cameras but those of ``names`` switched off.

    No names, or "all" among them, mean every enabled one. Raises ConfigError for a camera that is
    unknown or switched off.
    """
    if not names or ALL_CAMERAS in names:
        return settings
    for name in names:
        if name not in settings.cameras:
            known = ", ".join(sorted(settings.cameras)) or "none"
            raise ConfigError(f"no camera is called {name!r}; there are: {known}")
        if not settings.cameras[name].enabled:
            raise ConfigError(f"camera {name} is switched off: cameras.{name}.enabled is false")
    return settings.serving_only(names)


def _absolute(source: str) -> str:
    """Make a path absolute, for children with another working folder; leave the rest."""
    path = Path(source).expanduser()
    return str(path.absolute()) if path.exists() else source
