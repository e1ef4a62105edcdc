"""Who else is told of events: an MQTT broker, webhooks."""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, StringConstraints, field_validator, model_validator

from posewire.shared.messages import EventKind
from posewire.shared.settings._base import Section
from posewire.shared.settings._secrets import read_secret, with_password
from posewire.shared.settings.cameras import Name

Topic = Annotated[str, StringConstraints(pattern=r"^[^#+/\s]+(/[^#+/\s]+)*$", max_length=200)]
_SECRET_PREFIX = "whsec_"  # noqa: S105 -- what secrets begin with, none itself


class MqttSettings(Section):
    """A broker that hears of every event, and how many people each camera sees."""

    url: str = Field(
        description="mqtt://[user[:password]@]host[:port], or mqtts:// for TLS.",
        pattern=r"^mqtts?://.+",
        examples=["mqtt://posewire@homeassistant.local"],
    )
    password_file: Path | None = Field(
        None, description="File with the password for url, such as a container's secret."
    )
    ca_file: Path | None = Field(
        None, description="mqtts: authority to trust, for a broker with a certificate of its own."
    )
    topic: Topic = Field(
        "posewire", description="What all topics begin with; one for each Posewire on a broker."
    )
    discovery: bool = Field(True, description="Tell Home Assistant of the cameras (discovery).")
    discovery_topic: Topic = Field(
        "homeassistant", description="Home Assistant's discovery prefix."
    )

    @model_validator(mode="before")
    @classmethod
    def _with_password(cls, values: Any) -> Any:
        if not isinstance(values, dict) or not values.get("password_file"):
            return values
        url = with_password(str(values.get("url", "")), values["password_file"])
        return {**values, "url": url}


class WebhookSettings(Section):
    """An address that every event is posted to, signed as Standard Webhooks has it."""

    url: str = Field(description="https:// or http:// address.", pattern=r"^https?://.+")
    secret: str | None = Field(
        None,
        repr=False,
        description="Key of the signatures, whsec_ and base64 of 24 to 64 bytes: 'whsec_' "
        "followed by what 'openssl rand -base64 32' prints. Without one nothing is signed.",
    )
    secret_file: Path | None = Field(None, description="File with the secret.")
    kinds: tuple[EventKind, ...] = Field(
        (), description="Kinds of events that are told; all by default.", examples=[["entered"]]
    )
    cameras: tuple[Name, ...] = Field(
        (), description="Cameras whose events are told; all by default."
    )
    timeout_s: float = Field(10.0, ge=0.5, le=60, description="Longest wait for an answer.")

    @model_validator(mode="before")
    @classmethod
    def _with_secret(cls, values: Any) -> Any:
        if not isinstance(values, dict) or not values.get("secret_file"):
            return values
        return {**values, "secret": read_secret("secret_file", values["secret_file"])}

    @field_validator("secret")
    @classmethod
    def _is_a_key(cls, secret: str | None) -> str | None:
        if secret is not None and not 24 <= len(signing_key(secret)) <= 64:
            raise ValueError("expected whsec_ and base64 of 24 to 64 bytes")
        return secret


class IntegrationsSettings(Section):
    """Who is told of events, beside the database and the API."""

    mqtt: MqttSettings | None = Field(None, description="An MQTT broker.")
    webhooks: dict[Name, WebhookSettings] = Field(
        default_factory=dict, max_length=32, description="Webhooks, by name."
    )
    keep_days: float = Field(
        7.0,
        gt=0,
        le=365,
        description="Events that could not be told for so long are given up, and counted.",
    )


def signing_key(secret: str) -> bytes:
    """Return the key in a Standard Webhooks secret; empty where it is none."""
    if not secret.startswith(_SECRET_PREFIX):
        return b""
    try:
        return base64.b64decode(secret.removeprefix(_SECRET_PREFIX), validate=True)
    except binascii.Error:
        return b""
