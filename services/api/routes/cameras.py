"""Cameras, their state, and what they play."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Literal

from fastapi import APIRouter, Body, Request
from starlette.exceptions import HTTPException

from posewire.api.gateway import Gateway, InGateway, KnownCamera, known_source
from posewire.api.models import (
    Camera,
    Cameras,
    CameraStateOut,
    Skeleton,
    Source,
    Switching,
    SwitchSource,
)
from posewire.api.overlay import utc
from posewire.api.problems import described
from posewire.api.security import require_json, same_origin
from posewire.shared.bus import keys
from posewire.shared.errors import BusUnavailable
from posewire.shared.messages import CameraState, CameraStatus, Control
from posewire.shared.redact import redact
from posewire.shared.skeleton import COLOURS, KEYPOINTS, LIMBS

router = APIRouter(prefix="/api/v1", tags=["cameras"])
_CONTROL_MAXLEN = 16


@router.get("/cameras")
async def list_cameras(gateway: InGateway) -> Cameras:
    """All configured cameras with what they do and may play.

    Answers without the bus as well; `status` is then `unknown`.
    """
    names = sorted(gateway.settings.cameras)
    return Cameras(cameras=await asyncio.gather(*(_camera(gateway, name) for name in names)))


@router.get("/cameras/{camera}", responses=described(404, 422))
async def get_camera(gateway: InGateway, camera: KnownCamera) -> Camera:
    """One camera with what it does and may play."""
    return await _camera(gateway, camera)


@router.post(
    "/cameras/{camera}/source",
    status_code=202,
    responses=described(403, 404, 409, 415, 422, 503),
)
async def switch_source(
    request: Request,
    gateway: InGateway,
    camera: KnownCamera,
    wish: Annotated[SwitchSource, Body(description="What to play.")],
) -> Switching:
    """Play another of the configured sources; begins a new session.

    The wish is passed to capture; the camera's state tells when it was granted. Web pages can post
    only from the gateway's own origin.
    """
    if not same_origin(request):
        raise HTTPException(403, "only this gateway's own page may switch a source")
    require_json(request)
    source = known_source(gateway.settings, wish.source)
    if not gateway.settings.cameras[camera].enabled:
        raise HTTPException(409, f"camera {camera} is disabled; see cameras.{camera}.enabled")
    now = time.time()
    control = Control(camera=camera, action="switch_source", source=source, requested_at=now)
    await gateway.bus.publish(keys.control(camera), control, maxlen=_CONTROL_MAXLEN)
    return Switching(camera=camera, source=source, requested_at=utc(now))


@router.get("/skeleton")
async def skeleton() -> Skeleton:
    """Names of the keypoints, limbs and colours: what a client needs to draw overlays."""
    return Skeleton(keypoints=list(KEYPOINTS), limbs=list(LIMBS), colours=list(COLOURS))


async def _camera(gateway: Gateway, name: str) -> Camera:
    settings = gateway.settings
    status: CameraStatus | Literal["silent", "unknown"] = "silent"
    state: CameraState | None = None
    try:
        found = await gateway.bus.get(keys.state(name))
        left_s = await gateway.bus.ttl_s(keys.state(name))
    except BusUnavailable:
        status = "unknown"
    else:
        # Fresh is what the bus will forget soon, by its own clock: capture's and this machine's may
        # differ by any time. A state that would stay for ever was not said by a capture.
        if isinstance(found, CameraState):
            state = found
            if left_s is not None:
                status = found.status
    camera = settings.cameras[name]
    return Camera(
        name=name,
        enabled=camera.enabled,
        policy=camera.policy,
        source=camera.source,
        status=status,
        state=_state(state) if state is not None else None,
        sources=[
            Source(name=source, url=redact(what.url), loop=what.loop)
            for source, what in sorted(settings.sources.items())
        ],
    )


def _state(state: CameraState) -> CameraStateOut:
    return CameraStateOut(
        status=state.status,
        source=state.source,
        session=state.session,
        updated_at=utc(state.updated_at),
        width=state.width,
        height=state.height,
        fps=round(state.fps, 2),
        frames=state.frames,
        error=redact(state.error) if state.error else None,
    )
