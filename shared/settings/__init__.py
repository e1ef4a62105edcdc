"""Settings: ``posewire.toml`` and the environment (``POSEWIRE_*``), checked once at the start."""

from posewire.shared.settings._environment import unknown_variables
from posewire.shared.settings.api import ApiSettings, TelemetrySettings
from posewire.shared.settings.areas import Areas, LineSettings, MaskSettings, ZoneSettings
from posewire.shared.settings.bus import BusSettings, DatabaseSettings
from posewire.shared.settings.cameras import CameraSettings, CaptureSettings, SourceSettings
from posewire.shared.settings.inference import (
    Device,
    Family,
    InferenceSettings,
    ModelSettings,
    Precision,
    Preset,
)
from posewire.shared.settings.integrations import (
    IntegrationsSettings,
    MqttSettings,
    WebhookSettings,
)
from posewire.shared.settings.retention import CameraRetention, RetentionSettings
from posewire.shared.settings.root import DEFAULT_FILE, Settings, load_settings
from posewire.shared.settings.tracker import TrackerSettings

__all__ = [
    "DEFAULT_FILE",
    "ApiSettings",
    "Areas",
    "BusSettings",
    "CameraRetention",
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
    "RetentionSettings",
    "Settings",
    "SourceSettings",
    "TelemetrySettings",
    "TrackerSettings",
    "WebhookSettings",
    "ZoneSettings",
    "load_settings",
    "unknown_variables",
]
