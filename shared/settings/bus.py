"""Where the message bus is and how much it may hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, field_validator, model_validator

from posewire.shared.bus.address import parse
from posewire.shared.settings._base import Section
from posewire.shared.settings._secrets import with_password


class BusSettings(Section):
    """The message bus: Redis >= 6.2 or Valkey; one server, a cluster, or found by Sentinels."""

    url: str | None = Field(
        None,
        description="redis://host, redis+cluster://host1,host2 or "
        "redis+sentinel://host1,host2/service, each also as rediss for TLS; or unix:///path. "
        "Without one, demo and up start a server.",
        examples=["redis://localhost:6379/0"],
    )
    frames_maxlen: int = Field(
        64,
        ge=8,
        le=4096,
        description="Frames kept per camera, with their JPEGs. More lets slow viewers still find "
        "their picture; memory grows by one JPEG each.",
    )
    results_maxlen: int = Field(
        1024, ge=64, le=100_000, description="Pose results and track updates kept per camera."
    )
    lossless_window: int = Field(
        48,
        ge=4,
        le=4096,
        description="Lossless policy: frames that may be on their way at once between capture and "
        "the tracker's commit. More hides pauses, fewer saves memory.",
    )
    lease_s: float = Field(
        3.0,
        ge=0.5,
        le=60,
        description="Seconds after which a dead worker's cameras are taken over. Lower is sooner, "
        "but a worker that stalls for longer loses its cameras.",
    )

    @field_validator("url")
    @classmethod
    def _url_is_understood(cls, url: str | None) -> str | None:
        if url is not None:
            parse(url)
        return url

    @model_validator(mode="after")
    def _window_fits(self) -> BusSettings:
        if self.lossless_window >= self.frames_maxlen:
            raise ValueError(
                f"lossless_window ({self.lossless_window}) must be below frames_maxlen "
                f"({self.frames_maxlen}), or frames are trimmed before they are read"
            )
        return self


class DatabaseSettings(Section):
    """Where visits and events are stored: PostgreSQL >= 13."""

    url: str | None = Field(
        None,
        description="postgresql:// URL. Without one, demo and up start a server.",
        examples=["postgresql://posewire:secret@localhost/posewire"],
    )
    password_file: Path | None = Field(
        None,
        description="File with the password for url, such as a container's secret.",
        examples=["/run/secrets/postgres_password"],
    )
    pool_size: int = Field(4, ge=1, le=64, description="Connections a service may hold.")
    timeout_s: float = Field(5.0, ge=0.5, le=60, description="Longest wait for one statement.")

    migrate: bool = Field(
        True,
        description="Let the tracker make the schema and bring it up to date. Off, services wait "
        "until somebody has run 'posewire db upgrade'.",
    )

    @model_validator(mode="before")
    @classmethod
    def _with_password(cls, values: Any) -> Any:
        """Put the password into the URL: whoever has the settings can connect."""
        if not isinstance(values, dict) or not values.get("password_file"):
            return values
        if not values.get("url"):
            raise ValueError("password_file is given, but url is not")
        return {**values, "url": with_password(str(values["url"]), values["password_file"])}
