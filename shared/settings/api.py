"""The HTTP gateway and what every service tells about itself."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from posewire.shared.settings._base import Section


class ApiSettings(Section):
    """The HTTP gateway."""

    host: str = Field("127.0.0.1", description="Address to listen on; 0.0.0.0 for all.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    mjpeg_fps: float = Field(
        15.0, gt=0, le=60, description="Highest rate of live.mjpg; lower saves this CPU."
    )
    max_viewers: int = Field(
        64, ge=1, le=10_000, description="WebSocket and MJPEG viewers at once; more get 503."
    )
    snapshots: bool = Field(
        False,
        description="Keep a small picture of the person at each event, in the database. Mind the "
        "privacy of those who are seen.",
    )
    allowed_hosts: tuple[str, ...] = Field(
        (),
        max_length=64,
        description="Further names under which browsers reach the gateway, such as "
        "cam.example.org. Addresses, localhost, names without a dot and .local are served anyway; "
        "other names are refused, so that no web page can reach a gateway on its visitor's own "
        "machine.",
        examples=[["cam.example.org"]],
    )


class TelemetrySettings(Section):
    """Logs and metrics."""

    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least level that is written."
    )
    log_format: Literal["auto", "console", "json"] = Field(
        "auto", description="auto: console on a terminal, JSON elsewhere."
    )
    metrics_host: str = Field("127.0.0.1", description="Address of the metrics endpoints.")
    metrics_port: int | None = Field(
        None,
        ge=0,
        le=65535,
        description="Port of 'posewire run SERVICE's Prometheus endpoint; 0 takes a free one; "
        "unset: capture 9101, inference 9102, tracker 9103 (the gateway serves /metrics itself).",
    )
