"""From a command's options to settings."""

from __future__ import annotations

import pytest

from posewire.launcher.options import only_cameras
from posewire.shared.errors import ConfigError
from posewire.shared.settings import Settings


def enabled(settings: Settings) -> set[str]:
    return {name for name, camera in settings.cameras.items() if camera.enabled}


def test_only_the_named_cameras_are_served() -> None:
    settings = Settings(
        cameras={
            "door": {"source": "demo"},
            "yard": {"source": "demo"},
            "attic": {"source": "demo", "enabled": False},
        }
    )
    assert enabled(only_cameras(settings, ())) == {"door", "yard"}
    assert enabled(only_cameras(settings, ["all"])) == {"door", "yard"}
    assert enabled(only_cameras(settings, ["yard"])) == {"yard"}
    assert enabled(only_cameras(settings, ["yard", "door"])) == {"door", "yard"}
    with pytest.raises(ConfigError, match="no camera is called 'dor'; there are: attic, door, yar"):
        only_cameras(settings, ["dor"])
    with pytest.raises(ConfigError, match=r"cameras\.attic\.enabled is false"):
        only_cameras(settings, ["attic"])
