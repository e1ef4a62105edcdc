"""Topics, and what Home Assistant is told so that a camera appears there by itself.

Device discovery as in https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload
(Home Assistant 2024.11 and newer).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, get_args

from posewire.shared.messages import EventKind


@dataclass(frozen=True, slots=True)
class Topics:
    """Where one Posewire publishes on a broker."""

    root: str
    discovery: str

    @property
    def status(self) -> str:
        """online or offline, retained; the broker says offline when the tracker is gone."""
        return f"{self.root}/status"

    def people(self, camera: str) -> str:
        """How many people are in view, retained."""
        return f"{self.root}/{camera}/people"

    def occupancy(self, camera: str) -> str:
        """ON while somebody is in view, else OFF; retained."""
        return f"{self.root}/{camera}/occupancy"

    def event(self, camera: str) -> str:
        """Each event, as JSON; not retained."""
        return f"{self.root}/{camera}/event"

    def device(self, camera: str) -> str:
        """Where Home Assistant looks for a camera's description."""
        return f"{self.discovery}/device/{self.identity(camera)}/config"

    @property
    def birth(self) -> str:
        """Where Home Assistant says that it has started."""
        return f"{self.discovery}/status"

    def identity(self, camera: str) -> str:
        """A name for a camera that is its own among all devices of the broker."""
        return re.sub(r"[^A-Za-z0-9_-]", "_", f"{self.root}_{camera}")


def device(topics: Topics, camera: str, version: str) -> dict[str, Any]:
    """Return the description of a camera: an occupancy sensor, a count, and its events."""
    identity = topics.identity(camera)
    return {
        "device": {
            "identifiers": [identity],
            "name": f"Posewire {camera}",
            "manufacturer": "Posewire",
            "model": "Camera",
            "sw_version": version,
        },
        "origin": {
            "name": "Posewire",
            "sw_version": version,
            "support_url": "https://github.com/posewire/posewire",
        },
        "availability_topic": topics.status,
        "qos": 1,
        "components": {
            f"{identity}_occupancy": {
                "platform": "binary_sensor",
                "unique_id": f"{identity}_occupancy",
                "name": "Occupancy",
                "device_class": "occupancy",
                "state_topic": topics.occupancy(camera),
            },
            f"{identity}_people": {
                "platform": "sensor",
                "unique_id": f"{identity}_people",
                "name": "People",
                "icon": "mdi:account-multiple",
                "state_class": "measurement",
                "unit_of_measurement": "people",
                "state_topic": topics.people(camera),
            },
            f"{identity}_event": {
                "platform": "event",
                "unique_id": f"{identity}_event",
                "name": "Event",
                "event_types": list(get_args(EventKind)),
                "state_topic": topics.event(camera),
            },
        },
    }
