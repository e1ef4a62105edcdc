"""For orchestrators and scrapers."""

from __future__ import annotations

import asyncio
from importlib import metadata

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from services.api import queries
from services.api.gateway import Gateway, InGateway
from services.api.models import Check, Health, Ready
from shared.errors import BusUnavailable, StoreError, StoreUnavailable
from shared.redact import redact

router = APIRouter(tags=["health"])
_CHECK_S = 3.0


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
    checks = {"bus": bus, **database}
    ready = Ready(ready=all(check.ok for check in checks.values()), checks=checks)
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
async def metrics() -> Response:
    """Metrics for Prometheus."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


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
