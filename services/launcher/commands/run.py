"""posewire run: one service in the foreground."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import structlog

from posewire.launcher.options import only_cameras, settings_for
from posewire.shared.bus import RedisBus
from posewire.shared.errors import ConfigError
from posewire.shared.health import Health
from posewire.shared.probes import serve_metrics
from posewire.shared.settings import Settings
from posewire.shared.systemd import Notifier, watchdog_s
from posewire.shared.telemetry import configure_logging
from posewire.shared.watchdog import Watchdog
from posewire.shared.worker import until_stopped

SERVICES = ("capture", "inference", "tracker", "api")
_NEED_DATABASE = ("tracker", "api")


def run(
    service: str,
    config: Path | None,
    overrides: Mapping[str, Any],
    *,
    source: str | None = None,
    cameras: Sequence[str] = (),
) -> None:
    """Run ``service`` until it is told to stop. Raises PosewireError where it cannot.

    ``cameras``: the ones to serve; none, or "all": every enabled one.
    """
    if service not in SERVICES:
        raise ConfigError(f"unknown service {service!r}; there are {', '.join(SERVICES)}")
    settings = settings_for(config, overrides, source=source)
    if cameras and service == "api":
        raise ConfigError("--camera is for capture, inference and tracker; the api shows them all")
    settings = only_cameras(settings, cameras)
    configure_logging(settings.telemetry, service=service)
    if settings.bus.url is None:
        raise ConfigError(
            "bus.url is not set: a service alone needs a Redis or Valkey, e.g. "
            "POSEWIRE_BUS__URL=redis://localhost. 'posewire up' starts one by itself."
        )
    if service in _NEED_DATABASE and settings.database.url is None:
        raise ConfigError(
            "database.url is not set: the service needs a Postgres, e.g. "
            "POSEWIRE_DATABASE__URL=postgresql://localhost/posewire"
        )
    # Before the event loop: importing takes a second or more, in which no signal would be heard.
    module = importlib.import_module(f"posewire.{service}.service")
    asyncio.run(until_stopped(_serve(module, service, settings, settings.bus.url)))


async def _serve(module: ModuleType, service: str, settings: Settings, url: str) -> None:
    log = structlog.get_logger(__name__)
    bus = RedisBus(url)
    health = Health(Notifier.from_environment(), watchdog=Watchdog(), watchdog_s=watchdog_s())
    # The gateway serves its metrics on its own port.
    metrics = None if service == "api" else serve_metrics(settings.telemetry, service, health)
    log.info("service.started", metrics_port=metrics[1] if metrics else None)
    try:
        async with health.reporting(bus.ping):
            await module.run(settings, bus, health)
    finally:
        await bus.close()
        if metrics is not None:
            metrics[0].shutdown()
