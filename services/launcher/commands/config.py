"""posewire config: check the configuration, print its schema."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from posewire.shared.redact import redact
from posewire.shared.settings import DEFAULT_FILE, Settings, load_settings


def check(config: Path | None) -> None:
    """Read the configuration and say what it means. Raises ConfigError."""
    settings = load_settings(config)
    where = config or (DEFAULT_FILE if DEFAULT_FILE.exists() else "no file, defaults")
    sys.stdout.write(f"configuration is good ({where})\n")
    for name, camera in settings.cameras.items():
        url = redact(settings.sources[camera.source].url)
        state = "" if camera.enabled else ", disabled"
        sys.stdout.write(f"  camera {name}: {camera.source} ({url}), {camera.policy}{state}\n")


def schema() -> None:
    """Print the JSON schema."""
    json.dump(Settings.model_json_schema(), sys.stdout, indent=2)
    sys.stdout.write("\n")
