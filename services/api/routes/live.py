"""Live: WebSocket, MJPEG and single pictures."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Query, WebSocket, WebSocketDisconnect
from fastapi.responses import Response, StreamingResponse
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from posewire.api.gateway import Gateway, InGateway, KnownCamera, gateway
from posewire.api.live import TooManyViewers, Viewer, latest
from posewire.api.pictures import drawn_jpeg, scaled_jpeg
from posewire.api.problems import described, problem
from posewire.api.security import same_origin
from posewire.shared.bus import keys
from posewire.shared.messages import FrameHeader, TrackUpdate

router = APIRouter(prefix="/api/v1/cameras/{camera}", tags=["live"])
_NO_STORE = {"Cache-Control": "no-store"}
_BOUNDARY = "posewire-frame"
_GOING_AWAY = 1001
_JPEG = {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}


class _Picture(Response):
    media_type = "image/jpeg"


class _Mjpeg(StreamingResponse):
    """Watches from before the first byte until the client is gone, however that comes about."""

    media_type = f"multipart/x-mixed-replace; boundary={_BOUNDARY}"

    def __init__(self, viewer: Viewer, watching: contextlib.ExitStack) -> None:
        super().__init__(_parts(viewer), headers=_NO_STORE, media_type=self.media_type)
        self._watching = watching

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._watching:
            await super().__call__(scope, receive, send)


@router.get(
    "/snapshot.jpg",
    response_class=_Picture,
    responses={
        **described(404, 422, 503),
        200: {
            "description": "The newest picture.",
            "content": _JPEG,
            "headers": {
                "X-Posewire-Session": {
                    "description": "Its session.",
                    "schema": {"type": "string"},
                },
                "X-Posewire-Seq": {
                    "description": "Its number within the session.",
                    "schema": {"type": "integer"},
                },
            },
        },
    },
)
async def snapshot(
    gateway: InGateway,
    camera: KnownCamera,
    overlay: Annotated[
        bool,
        Query(
            description="true: the newest examined frame with the overlay drawn in; false: the "
            "newest frame as captured.",
            examples=[True],
        ),
    ] = True,
    width: Annotated[
        int | None,
        Query(ge=32, le=1920, description="Scaled down to this width.", examples=[320]),
    ] = None,
) -> Response:
    """The newest picture of a camera."""
    found = await _snapshot(gateway, camera, overlay=overlay)
    if width is not None:
        small = await asyncio.to_thread(scaled_jpeg, bytes(found.body), width)
        found = _Picture(small or found.body, headers=_named(found.headers))
    return found


def _named(headers: Headers) -> dict[str, str]:
    """Return the headers that say which picture it is."""
    return {k: v for k, v in headers.items() if k not in ("content-length", "content-type")}


async def _snapshot(gateway: Gateway, camera: str, *, overlay: bool) -> Response:
    if not overlay and (found := await _newest_frame(gateway, camera)) is not None:
        header, jpeg = found
        return _picture(header, jpeg)
    entries = await latest(gateway.bus, camera)
    if not entries or not isinstance(update := entries[0].message, TrackUpdate):
        raise HTTPException(503, f"camera {camera} has no picture yet", {"Retry-After": "1"})
    entry = await gateway.bus.entry(keys.frames(camera), update.frame_id)
    if entry is None or entry.payload is None:
        raise HTTPException(
            503, f"camera {camera}'s last examined picture is gone from the bus; try again",
            {"Retry-After": "1"},
        )  # fmt: skip
    if not overlay:
        return _picture(update.frame, entry.payload)
    drawn = await asyncio.to_thread(drawn_jpeg, entry.payload, update, None)
    if drawn is None:
        raise HTTPException(503, f"camera {camera}'s last picture is broken", {"Retry-After": "1"})
    return _picture(update.frame, drawn)


async def _newest_frame(gateway: Gateway, camera: str) -> tuple[FrameHeader, bytes] | None:
    last = await gateway.bus.last(keys.frames(camera))
    if last is None or last.payload is None or not isinstance(last.message, FrameHeader):
        return None
    return last.message, last.payload


def _picture(header: FrameHeader, jpeg: bytes) -> Response:
    names = {"X-Posewire-Session": header.session, "X-Posewire-Seq": str(header.seq)}
    return _Picture(jpeg, headers=_NO_STORE | names)


@router.get(
    "/live.mjpg",
    status_code=200,
    response_class=_Mjpeg,
    responses={
        **described(404, 422, 503),
        200: {
            "description": "An endless row of JPEGs (multipart/x-mixed-replace).",
            "content": {
                "multipart/x-mixed-replace": {"schema": {"type": "string", "format": "binary"}}
            },
        },
    },
)
async def live_mjpeg(gateway: InGateway, camera: KnownCamera) -> Response:
    """The live picture with the overlay drawn in, for clients that can only show an image.

    At most `api.mjpeg_fps` pictures a second; each is drawn once, however many watch.
    """
    watching = contextlib.ExitStack()
    viewer = watching.enter_context(gateway.hub.watch(camera, "drawn"))
    return _Mjpeg(viewer, watching)


async def _parts(viewer: Viewer) -> AsyncIterator[bytes]:
    yield f"--{_BOUNDARY}\r\n".encode()
    while (tick := await viewer.next()) is not None:
        jpeg = await tick.drawn()
        if jpeg is None:
            continue
        head = f"Content-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n".encode()
        # The boundary goes at once: browsers show a part when they see its end.
        yield b"".join((head, jpeg, f"\r\n--{_BOUNDARY}\r\n".encode()))


@router.websocket("/live")
async def live(websocket: WebSocket, camera: str, frames: bool = False) -> None:
    """Send every update as JSON; with ``frames=1`` its JPEG as a binary message before it."""
    here = gateway(websocket)
    if not same_origin(websocket):
        await websocket.send_denial_response(
            problem(403, "only this gateway's own page may watch from a browser")
        )
        return
    if camera not in here.settings.cameras:
        await websocket.send_denial_response(problem(404, f"no camera is called {camera!r}"))
        return
    try:
        with here.hub.watch(camera, "frames" if frames else "overlay") as viewer:
            await websocket.accept()
            await _serve(websocket, viewer, frames=frames)
    except TooManyViewers as error:
        await websocket.send_denial_response(problem(503, str(error)))


async def _serve(websocket: WebSocket, viewer: Viewer, *, frames: bool) -> None:
    """Send until the client goes or the gateway does."""
    tasks = [
        asyncio.create_task(_send(websocket, viewer, frames=frames)),
        asyncio.create_task(_until_gone(websocket)),
        asyncio.create_task(viewer.closed.wait()),
    ]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception) and not isinstance(result, WebSocketDisconnect):
            raise result
    if viewer.closed.is_set():
        with contextlib.suppress(asyncio.TimeoutError, WebSocketDisconnect, RuntimeError):
            await asyncio.wait_for(websocket.close(_GOING_AWAY, "the gateway stops"), 0.3)


async def _send(websocket: WebSocket, viewer: Viewer, *, frames: bool) -> None:
    while (tick := await viewer.next()) is not None:
        if frames and (jpeg := await tick.jpeg()) is not None:
            await websocket.send_bytes(jpeg)
        await websocket.send_text(tick.text)


async def _until_gone(websocket: WebSocket) -> None:
    """Read and ignore what the client says until it goes."""
    while (await websocket.receive())["type"] != "websocket.disconnect":
        pass
