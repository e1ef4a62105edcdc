"""Logs (structlog): set up once per process."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from posewire.shared.redact import redact
from posewire.shared.settings import TelemetrySettings
from posewire.shared.systemd import writes_to_journal

_PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}


def _redacted(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = redact(value)
        elif isinstance(value, BaseException):
            event[key] = redact(str(value))
    return event


def _with_priority(render: Any) -> Any:
    """Put the level before a line as sd-daemon(3) has it; the journal takes it off again."""

    def rendered(logger: Any, method: str, event: MutableMapping[str, Any]) -> str:
        priority = _PRIORITIES.get(event.get("level", ""), 6)
        return f"<{priority}>{render(logger, method, event)}"

    return rendered


def configure_logging(settings: TelemetrySettings, *, service: str | None = None) -> None:
    """Write logs to stderr, one line each, credentials redacted.

    JSON lines unless stderr is a terminal (or as ``settings.log_format`` says). In the journal
    each line has its priority, so that ``journalctl -p warning`` finds what matters.
    """
    console = settings.log_format == "console" or (
        settings.log_format == "auto" and sys.stderr.isatty()
    )
    renderer: Any = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
        if console
        else structlog.processors.JSONRenderer()
    )
    if writes_to_journal(sys.stderr):
        renderer = _with_priority(renderer)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            _redacted,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            getattr(logging, settings.log_level.upper())
        ),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    if service is not None:
        structlog.contextvars.bind_contextvars(service=service)
