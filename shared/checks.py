"""Findings about this machine: what ``posewire doctor`` prints and the page shows."""

from __future__ import annotations

import platform
import shutil
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from posewire.shared.redact import redact
from posewire.shared.settings import Settings

_LEAST_FREE_GB = 0.5
_PORTS = {"http": 80, "https": 443, "mqtt": 1883, "mqtts": 8883}


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


def integrations(settings: Settings) -> Iterator[Check]:
    """Whether those who are told of events can be reached; nothing is sent."""
    found = {f"webhook {n}": w.url for n, w in settings.integrations.webhooks.items()}
    if settings.integrations.mqtt is not None:
        found["MQTT"] = settings.integrations.mqtt.url
    for name, url in found.items():
        parts = urlsplit(url)
        port = parts.port or _PORTS[parts.scheme]
        try:
            socket.create_connection((parts.hostname or "localhost", port), timeout=3).close()
        except OSError as error:
            yield Check(name, False, f"{redact(url)} cannot be reached: {error}")
        else:
            yield Check(name, True, redact(url))


def disk(settings: Settings) -> Check:
    """Room for the embedded servers."""
    folder = settings.data_dir
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free / 1e9
    return Check("disk", free > _LEAST_FREE_GB, f"{free:.1f} GB free for {settings.data_dir}")
