"""Findings about this machine: what ``posewire doctor`` prints and the page shows."""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from shared.redact import redact
from shared.settings import Settings

_LEAST_FREE_GB = 0.5


@dataclass(frozen=True, slots=True)
class Check:
    """One finding. ``ok`` None: not needed as configured."""

    name: str
    ok: bool | None
    text: str


def python() -> Check:
    """The interpreter."""
    version = platform.python_version()
    good = sys.version_info >= (3, 10)
    text = f"{version} on {platform.machine()}" + ("" if good else ": 3.10 is needed")
    return Check("Python", good, text)


def cameras(settings: Settings) -> Iterator[Check]:
    """What the cameras play, and whether that can be."""
    devices = sorted(str(path) for path in Path("/dev").glob("video*"))
    yield Check("webcams", True if devices else None, ", ".join(devices) or "no /dev/video*")
    for name, camera in settings.cameras.items():
        url = settings.sources[camera.source].url
        text = f"plays {camera.source} ({redact(url)}), {camera.policy}"
        missing = url.startswith("/") and not Path(url).exists()
        yield Check(f"camera {name}", not missing, text + (": does not exist" if missing else ""))


def disk(settings: Settings) -> Check:
    """Room for the embedded servers."""
    folder = settings.data_dir
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free / 1e9
    return Check("disk", free > _LEAST_FREE_GB, f"{free:.1f} GB free for {settings.data_dir}")
