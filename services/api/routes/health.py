"""For orchestrators and scrapers."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from importlib import metadata

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST

from posewire.api import queries
from posewire.api.exposition import exposition
from posewire.api.gateway import Gateway, InGateway
from posewire.api.models import (
    CameraStatusOut,
    Check,
    Finding,
    Health,
    Ready,
    Status,
    StreamOut,
)
from posewire.shared import checks
from posewire.shared.bus import keys
from posewire.shared.errors import BusUnavailable, StoreError, StoreUnavailable
from posewire.shared.messages import CameraState, ModelRun, TrackUpdate
from posewire.shared.redact import redact

router = APIRouter(tags=["health"])
_CHECK_S = 3.0
_LATE_S = 5.0
"""A service whose stream is this far behind the one it reads has stopped."""


def version() -> str:
    """Return Posewire's version."""
    try:
        return metadata.version("posewire")
    except metadata.PackageNotFoundError:
        return "0+unknown"


@router.get("/healthz")
async def healthz() -> Health:
    """Whether the process lives; asks nothing else."""
    return Health(status="ok", version=version())


@router.get(
    "/readyz",
    response_model=Ready,
    responses={503: {"model": Ready, "description": "Something does not work; see the checks."}},
)
async def readyz(gateway: InGateway) -> JSONResponse:
    """Whether bus, database and its schema are there.

    The live view needs the bus alone and goes on without the database.
    """
    bus, database = await asyncio.gather(_bus(gateway), _database(gateway))
    found = {"bus": bus, **database}
    ready = Ready(ready=all(check.ok for check in found.values()), checks=found)
    return JSONResponse(ready.model_dump(), 200 if ready.ready else 503)


@router.get(
    "/metrics",
    response_class=Response,
    responses={
        200: {
            "description": "Metrics of this process in Prometheus' text format.",
            "content": {
                "text/plain": {
                    "schema": {"type": "string"},
                    "example": 'posewire_api_viewers{camera="main",kind="frames"} 1.0\n',
                }
            },
        }
    },
)
async def metrics(gateway: InGateway) -> Response:
    """Metrics for Prometheus: of this process, of bus, database and streams."""
    return Response(await exposition(gateway), media_type=CONTENT_TYPE_LATEST)


@router.get("/api/v1/status")
async def status(gateway: InGateway) -> Status:
    """Services, streams, models and devices; what is wrong, and what to do.

    The checks are those of `posewire doctor` that this process can make.
    """
    settings = gateway.settings
    bus, database = await asyncio.gather(_bus(gateway), _database(gateway))
    found = [
        checks.python(),
        *checks.cameras(settings),
        checks.Check("Redis", bus.ok, bus.detail),
        checks.Check("Postgres", database["database"].ok, database["database"].detail),
        checks.Check("schema", database["schema"].ok, database["schema"].detail),
        checks.disk(settings),
    ]
    names = [name for name, camera in settings.cameras.items() if camera.enabled]
    under_way: list[CameraStatusOut] = []
    if bus.ok:
        with contextlib.suppress(BusUnavailable):
            pairs = await asyncio.gather(*(_camera_status(gateway, name) for name in names))
            under_way = [out for out, _services in pairs]
            found += [check for _out, services in pairs for check in services]
    return Status(
        version=version(),
        ok=all(check.ok is not False for check in found),
        checks=[Finding(name=c.name, ok=c.ok, text=c.text) for c in found],
        cameras=under_way,
    )


async def _camera_status(
    gateway: Gateway, camera: str
) -> tuple[CameraStatusOut, list[checks.Check]]:
    """Return a camera's streams, and whether the services that write them are alive."""
    streams, newest = {}, {}
    for name, key in (
        ("frames", keys.frames(camera)), ("poses", keys.poses(camera)),
        ("tracks", keys.tracks(camera)),
    ):  # fmt: skip
        last = await gateway.bus.last(key)
        newest[name] = last
        streams[name] = StreamOut(
            length=await gateway.bus.length(key),
            age_s=None if last is None else round(max(time.time() - _written_at(last.id), 0), 1),
        )
    runs: list[ModelRun] = []
    if newest["tracks"] is not None and isinstance(newest["tracks"].message, TrackUpdate):
        update = newest["tracks"].message
        runs = [run for run in (update.detector, update.pose) if run is not None]
    out = CameraStatusOut(
        camera=camera,
        streams=streams,
        models=[f"{run.model} {run.precision}" for run in runs],
        devices=sorted({run.device for run in runs}),
    )
    state = await gateway.bus.get(keys.state(camera))
    return out, list(_services(camera, state, streams))


def _services(camera: str, state: object, streams: dict[str, StreamOut]) -> Iterator[checks.Check]:
    if not isinstance(state, CameraState):
        yield checks.Check(
            f"capture of {camera}", False, "no word from it: is the capture service running?"
        )
        return
    running = state.status == "running"
    why = f": {redact(state.error)}" if state.error else ""
    yield checks.Check(
        f"capture of {camera}", running or state.status == "ended", f"{state.status}{why}"
    )
    if not running:
        return
    for service, stream, before in (
        ("inference", "poses", "frames"), ("tracker", "tracks", "poses"),
    ):  # fmt: skip
        age, source = streams[stream].age_s, streams[before].age_s
        behind = age is None or (source is not None and age - source > _LATE_S)
        text = "works" if not behind else f"nothing new for {age or 0:.0f} s: is it running?"
        yield checks.Check(f"{service} of {camera}", not behind, text)


def _written_at(entry_id: str) -> float:
    """Return when the server took an entry, seconds since the epoch."""
    return int(entry_id.partition("-")[0]) / 1000


async def _bus(gateway: Gateway) -> Check:
    try:
        await asyncio.wait_for(gateway.bus.ping(), _CHECK_S)
    except (BusUnavailable, asyncio.TimeoutError) as error:
        return Check(ok=False, detail=redact(str(error)) or "does not answer in time")
    return Check(ok=True, detail="answers")


async def _database(gateway: Gateway) -> dict[str, Check]:
    try:
        await asyncio.wait_for(gateway.database.fetchval("SELECT 1"), _CHECK_S)
    except (StoreUnavailable, asyncio.TimeoutError) as error:
        away = Check(ok=False, detail=redact(str(error)) or "does not answer in time")
        return {"database": away, "schema": Check(ok=False, detail="the database is away")}
    answers = Check(ok=True, detail="answers")
    try:
        newest = await queries.schema_version(gateway.database)
    except (StoreUnavailable, StoreError) as error:
        return {"database": answers, "schema": Check(ok=False, detail=redact(str(error)))}
    if newest is None:
        return {
            "database": answers,
            "schema": Check(ok=False, detail="no migration has run; the tracker runs them"),
        }
    return {"database": answers, "schema": Check(ok=True, detail=f"version {newest}")}
