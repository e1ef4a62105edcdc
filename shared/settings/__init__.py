"""Settings: ``posewire.toml`` and the environment (``POSEWIRE_*``), checked once at the start."""

from shared.settings.api import ApiSettings, TelemetrySettings
from shared.settings.areas import Areas, LineSettings, MaskSettings, ZoneSettings
from shared.settings.bus import BusSettings, DatabaseSettings
from shared.settings.cameras import CameraSettings, CaptureSettings, SourceSettings
from shared.settings.inference import (
    Device,
    Family,
    InferenceSettings,
    ModelSettings,
    Precision,
    Preset,
)
from shared.settings.integrations import IntegrationsSettings, MqttSettings, WebhookSettings
from shared.settings.root import DEFAULT_FILE, Settings, load_settings
from shared.settings.tracker import TrackerSettings

__all__ = [
    "DEFAULT_FILE",
    "ApiSettings",
    "Areas",
    "BusSettings",
    "CameraSettings",
    "CaptureSettings",
    "DatabaseSettings",
    "Device",
    "Family",
    "InferenceSettings",
    "IntegrationsSettings",
    "LineSettings",
    "MaskSettings",
    "ModelSettings",
    "MqttSettings",
    "Precision",
    "Preset",
    "Settings",
    "SourceSettings",
    "TelemetrySettings",
    "TrackerSettings",
    "WebhookSettings",
    "ZoneSettings",
    "load_settings",
]
