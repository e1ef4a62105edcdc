"""Zones, lines and masks of a camera: read, drawn anew, given back to the configuration."""

from __future__ import annotations

import json
from typing import Annotated, Any, TypeAlias

from fastapi import APIRouter, Body, Depends, Header, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from posewire.api import queries
from posewire.api.gateway import Gateway, InGateway, KnownCamera
from posewire.api.models import AreasOut
from posewire.api.problems import described
from posewire.api.security import require_json, same_origin
from posewire.shared.settings.areas import Areas

router = APIRouter(prefix="/api/v1", tags=["cameras"])

IfMatch: TypeAlias = Annotated[
    str | None,
    Header(
        description="The ETag of the version that this replaces; without it, any version.",
        examples=['"3"'],
    ),
]


def _allowed(request: Request) -> None:
    if not same_origin(request):
        raise HTTPException(403, "only this gateway's own page may change zones")


@router.get("/cameras/{camera}/areas", responses=described(404, 503))
async def get_areas(gateway: InGateway, camera: KnownCamera, response: Response) -> AreasOut:
    """Zones, lines and masks that are in force."""
    return _answer(response, await _current(gateway, camera))


@router.put(
    "/cameras/{camera}/areas",
    responses=described(403, 404, 412, 415, 422, 503),
    dependencies=[Depends(_allowed), Depends(require_json)],
)
async def put_areas(
    response: Response,
    gateway: InGateway,
    camera: KnownCamera,
    areas: Annotated[Areas, Body(description="All zones, lines and masks of the camera.")],
    if_match: IfMatch = None,
) -> AreasOut:
    """Replace all zones, lines and masks; in force within a second, also while people are there.

    Who is in a zone that is no more leaves it. Web pages can put only from the gateway's own
    origin.
    """
    return await _store(gateway, camera, areas, response, if_match)


@router.delete(
    "/cameras/{camera}/areas",
    responses=described(403, 404, 412, 503),
    dependencies=[Depends(_allowed)],
)
async def delete_areas(
    response: Response,
    gateway: InGateway,
    camera: KnownCamera,
    if_match: IfMatch = None,
) -> AreasOut:
    """Go back to the zones, lines and masks in the configuration."""
    return await _store(gateway, camera, None, response, if_match)


async def _current(gateway: Gateway, camera: str) -> AreasOut:
    row = await queries.areas(gateway.database, camera)
    if row is None or row["areas"] is None:
        configured = gateway.settings.cameras[camera].areas()
        version = 0 if row is None else row["version"]
        return AreasOut(**_fields(configured), version=version, drawn=False)
    return AreasOut(**json.loads(row["areas"]), version=row["version"], drawn=True)


async def _store(
    gateway: Gateway, camera: str, areas: Areas | None, response: Response, if_match: str | None
) -> AreasOut:
    expected = None
    if if_match is not None and if_match.strip() != "*":
        try:
            expected = int(if_match.strip().removeprefix("W/").strip('"'))
        except ValueError:
            raise HTTPException(412, f"If-Match {if_match[:40]!r} is no ETag of ours") from None
    text = None if areas is None else areas.model_dump_json()
    if not await queries.put_areas(gateway.database, camera, text, expected):
        raise HTTPException(
            412, "somebody else has changed the zones in the meantime; get them again"
        )
    return _answer(response, await _current(gateway, camera))


def _fields(areas: Areas) -> dict[str, Any]:
    return areas.model_dump(include={"zones", "lines", "masks"})


def _answer(response: Response, areas: AreasOut) -> AreasOut:
    response.headers["ETag"] = f'"{areas.version}"'
    response.headers["Cache-Control"] = "no-cache"
    return areas
