"""What the routes share: settings, bus, database, live fan-out; and the checks on their input."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Annotated, Any, TypeAlias

from fastapi import Depends, Path
from pydantic import AfterValidator, BeforeValidator
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection

from posewire.api.database import Database
from posewire.api.live import Hub
from posewire.shared.bus import Bus
from posewire.shared.settings import Settings


@dataclass(frozen=True, slots=True)
class Gateway:
    """Everything a route may need."""

    settings: Settings
    bus: Bus
    database: Database
    hub: Hub


def gateway(connection: HTTPConnection) -> Gateway:
    """Return the gateway of the app that serves ``connection``."""
    found: Gateway = connection.app.state.gateway
    return found


def known_camera(
    connection: HTTPConnection,
    camera: Annotated[str, Path(description="Name of a camera.", examples=["main"], max_length=63)],
) -> str:
    """Return the camera in the path; 404 where there is none of this name."""
    cameras = gateway(connection).settings.cameras
    if camera not in cameras:
        known = ", ".join(sorted(cameras)) or "none"
        raise HTTPException(404, f"no camera is called {camera!r}; there are: {known}")
    return camera


def _plus(value: Any) -> Any:
    """Undo what URLs make of the + in ``...T09:00:00+01:00``."""
    if isinstance(value, str):
        return re.sub(r"(?<=\d) (?=\d\d:?\d\d$)", "+", value)
    return value


def _utc(value: datetime) -> datetime:
    if value.tzinfo is None:
        return value.replace(tzinfo=timezone.utc)
    try:
        return value.astimezone(timezone.utc)
    except OverflowError:
        raise ValueError("expected a year from 1 to 9999 in UTC") from None


Moment: TypeAlias = Annotated[datetime, BeforeValidator(_plus), AfterValidator(_utc)]
"""A time in ISO 8601; UTC where it names no zone."""
InGateway: TypeAlias = Annotated[Gateway, Depends(gateway)]
KnownCamera: TypeAlias = Annotated[str, Depends(known_camera)]


def known_source(settings: Settings, source: str) -> str:
    """Return ``source``; 422 where it is not configured."""
    if source not in settings.sources:
        known: Sequence[str] = sorted(settings.sources)
        raise HTTPException(
            422, f"no source is called {source!r}; there are: {', '.join(known) or 'none'}"
        )
    return source
