"""What was written down: events, visits, occupancy, and the old app's detections."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from datetime import datetime, timedelta, timezone
from typing import Annotated, Any, Literal, TypeAlias
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response, StreamingResponse
from starlette.exceptions import HTTPException

from posewire.api import formats, queries
from posewire.api.gateway import Gateway, InGateway, Moment
from posewire.api.models import (
    Bucket,
    Detection,
    Detections,
    EventOut,
    Events,
    Hour,
    Occupancy,
    Pagination,
    Patterns,
    VisitOut,
    Visits,
)
from posewire.api.problems import described
from posewire.shared.messages import EventKind

router = APIRouter(tags=["history"])
_BUCKETS: dict[str, int] = {"minute": 60, "hour": 3600, "day": 86_400}
_MOST_BUCKETS = 2000
_DEFAULT_BUCKETS = {"minute": 60, "hour": 24, "day": 30}

Camera: TypeAlias = Annotated[
    str | None,
    Query(
        description="Only of this camera.",
        examples=["main"],
        pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$",
    ),
]
Since: TypeAlias = Annotated[
    Moment | None,
    Query(
        alias="from",
        description="Not before this moment (ISO 8601; UTC where it names no zone).",
        examples=["2026-03-01T00:00:00Z"],
    ),
]
Until: TypeAlias = Annotated[
    Moment | None,
    Query(
        alias="to",
        description="Before this moment (ISO 8601; UTC where it names no zone).",
        examples=["2026-03-02T00:00:00Z"],
    ),
]
Visit: TypeAlias = Annotated[
    UUID | None,
    Query(description="Only this visit.", examples=["0d1f5b5e-6a55-5f0e-9a53-5d6c1d3f2b10"]),
]
Limit: TypeAlias = Annotated[
    int, Query(ge=1, le=1000, description="Most rows of one page.", examples=[100])
]
Order: TypeAlias = Annotated[
    Literal["asc", "desc"],
    Query(description="desc: the newest first; asc: the oldest first.", examples=["desc"]),
]
Cursor: TypeAlias = Annotated[
    str | None,
    Query(
        max_length=200,
        description="Where to go on: `next` of the page before. Keep the other parameters.",
        examples=["WyJkZXNjIiw0Ml0"],
    ),
]
Format: TypeAlias = Annotated[
    formats.Format | None,
    Query(alias="format", description="Overrides the Accept header.", examples=["json"]),
]


def _example(model: type[EventOut] | type[VisitOut]) -> dict[str, Any]:
    return {
        name: field.examples[0] if field.examples else None
        for name, field in model.model_fields.items()
    }


@router.get(
    "/api/v1/events",
    response_model=Events,
    responses={
        **described(422, 503),
        200: formats.described("Events", "events", _example(EventOut)),
    },
)
async def list_events(
    request: Request,
    gateway: InGateway,
    camera: Camera = None,
    kind: Annotated[
        list[EventKind] | None,
        Query(description="Only of these kinds; may be given repeatedly.", examples=[["entered"]]),
    ] = None,
    since: Since = None,
    until: Until = None,
    visit: Visit = None,
    limit: Limit = 100,
    order: Order = "desc",
    cursor: Cursor = None,
    form: Format = None,
) -> Response:
    """Events in the order of their confirmation; `from` and `to` are about `occurred_at`."""
    which = queries.Filter(camera, kind or (), since, until, visit)
    rows, following = await _page(
        queries.events(gateway.database, which, queries.Page(limit, order, cursor))
    )
    return formats.respond(
        request,
        rows,
        list(EventOut.model_fields),
        following,
        name="events",
        form=formats.chosen(request, form),
    )


@router.get(
    "/api/v1/events.csv",
    response_class=StreamingResponse,
    responses={
        **described(422, 503),
        200: {
            "description": "All events that match, the oldest first.",
            "content": {"text/csv": {"schema": {"type": "string"}}},
        },
    },
)
async def export_events(
    gateway: InGateway,
    camera: Camera = None,
    kind: Annotated[
        list[EventKind] | None,
        Query(description="Only of these kinds; may be given repeatedly.", examples=[["entered"]]),
    ] = None,
    since: Since = None,
    until: Until = None,
) -> Response:
    """All events at once, however many: streamed from the database page by page."""
    which = queries.Filter(camera, kind or (), since, until, None)
    page = queries.Page(1000, "asc")
    first = await _page(queries.events(gateway.database, which, page))
    headers = {"Content-Disposition": 'attachment; filename="events.csv"'}
    return StreamingResponse(
        _csv_pages(gateway, which, first), media_type="text/csv", headers=headers
    )


async def _csv_pages(
    gateway: Gateway, which: queries.Filter, first: tuple[list[Any], str | None]
) -> AsyncIterator[str]:
    columns = list(EventOut.model_fields)
    rows, following = first
    yield formats.csv_text([columns])
    while True:
        yield formats.csv_rows(rows, columns)
        if following is None:
            return
        page = queries.Page(1000, "asc", following)
        rows, following = await queries.events(gateway.database, which, page)


@router.get(
    "/api/v1/events/{event}/snapshot.jpg",
    response_class=Response,
    responses={
        **described(404, 422, 503),
        200: {
            "description": "The person at that moment.",
            "content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}},
        },
    },
)
async def event_snapshot(
    gateway: InGateway,
    event: Annotated[
        UUID, Path(description="Its id.", examples=["5c2f6d0e-3a52-5b0c-8b3f-0a6f54b0c1aa"])
    ],
) -> Response:
    """The picture of an event, where `api.snapshots` is on."""
    jpeg = await queries.snapshot(gateway.database, event)
    if jpeg is None:
        raise HTTPException(404, "there is no picture of this event; see api.snapshots")
    headers = {"Cache-Control": "private, max-age=86400, immutable"}
    return Response(jpeg, media_type="image/jpeg", headers=headers)


@router.get(
    "/api/v1/visits",
    response_model=Visits,
    responses={
        **described(422, 503),
        200: formats.described("Visits", "visits", _example(VisitOut)),
    },
)
async def list_visits(
    request: Request,
    gateway: InGateway,
    camera: Camera = None,
    since: Since = None,
    until: Until = None,
    visit: Visit = None,
    limit: Limit = 100,
    order: Order = "desc",
    cursor: Cursor = None,
    form: Format = None,
) -> Response:
    """Visits by `entered_at`; with `from` and `to` those that overlap the range."""
    which = queries.Filter(camera, (), since, until, visit)
    rows, following = await _page(
        queries.visits(gateway.database, which, queries.Page(limit, order, cursor))
    )
    return formats.respond(
        request,
        rows,
        list(VisitOut.model_fields),
        following,
        name="visits",
        form=formats.chosen(request, form),
    )


async def _page(asked: Any) -> Any:
    try:
        return await asked
    except queries.CursorError as error:
        raise HTTPException(422, str(error)) from None


@router.get("/api/v1/occupancy", responses=described(422, 503))
async def occupancy(
    gateway: InGateway,
    camera: Camera = None,
    bucket: Annotated[
        str,
        Query(
            pattern=r"^(minute|hour|day|[1-9][0-9]{0,6})$",
            description="Length of a bucket: minute, hour, day, or a number of seconds up to "
            "2678400 (31 days). Buckets begin at whole multiples since the epoch: hours on the "
            "hour, days at midnight UTC.",
            examples=["hour"],
        ),
    ] = "hour",
    since: Since = None,
    until: Until = None,
) -> Occupancy:
    """How many people came, left and were in view, per time bucket.

    `from` is moved down and `to` up to a bucket's start. Without `to` the last bucket is the one of
    now; without `from` there are 60 minutes, 24 hours, 30 days or 60 buckets. At most 2000 buckets.
    """
    bucket_s = _BUCKETS.get(bucket) or int(bucket)
    if bucket_s > 31 * 86_400:
        raise HTTPException(422, "bucket: expected at most 2678400 seconds")
    end = math.ceil((until or datetime.now(timezone.utc)).timestamp() / bucket_s)
    begin = (
        end - _DEFAULT_BUCKETS.get(bucket, 60)
        if since is None
        else math.floor(since.timestamp() / bucket_s)
    )
    count = end - begin
    if count < 0:
        raise HTTPException(422, "from: expected a moment before 'to'")
    if count > _MOST_BUCKETS:
        raise HTTPException(
            422, f"{count} buckets asked for, at most {_MOST_BUCKETS}: take longer ones"
        )
    try:
        start = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=begin * bucket_s)
        start + timedelta(seconds=(count + 1) * bucket_s)
    except OverflowError:
        raise HTTPException(422, "from, to: expected years from 1 to 9999") from None
    rows = await queries.occupancy(gateway.database, camera, start, bucket_s, count)
    return Occupancy(
        camera=camera, bucket_s=bucket_s, buckets=[Bucket(**dict(row)) for row in rows]
    )


@router.get("/api/v1/patterns", responses=described(422, 503))
async def patterns(
    gateway: InGateway,
    camera: Camera = None,
    tz: Annotated[
        str, Query(max_length=64, description="IANA time zone of the hours.", examples=["UTC"])
    ] = "UTC",
    weeks: Annotated[int, Query(ge=1, le=52, description="How many weeks back.", examples=[8])] = 8,
) -> Patterns:
    """When people usually come, by weekday and hour, against today; and how long they stay."""
    try:
        now = datetime.now(ZoneInfo(tz))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise HTTPException(
            422, f"tz: {tz!r} is no time zone; expected a name such as Europe/Berlin"
        ) from None
    rows, stays = await asyncio.gather(
        queries.hours(gateway.database, camera, tz, weeks),
        queries.dwell(gateway.database, camera, now - timedelta(weeks=weeks)),
    )
    return Patterns(
        camera=camera,
        tz=tz,
        weekday=now.isoweekday(),
        hours=[Hour(**dict(row)) for row in rows],
        visits=stays["visits"],
        mean_dwell_s=stays["mean_s"],
        median_dwell_s=stays["median_s"],
    )


@router.get("/detections", responses=described(422, 503), tags=["compatibility"])
async def list_detections(
    gateway: InGateway,
    page: Annotated[
        int, Query(ge=1, le=10_000_000, description="Which page, from 1.", examples=[1])
    ] = 1,
    per_page: Annotated[
        int,
        Query(alias="per-page", ge=1, le=1000, description="Results per page.", examples=[10]),
    ] = 10,
) -> Detections:
    """Events in exactly the shape of the app that came before Posewire, oldest first.

    A page beyond the end has no results. New programs take `/api/v1/events`.
    """
    rows, count = await queries.detections(gateway.database, page, per_page)
    return Detections(
        results=[
            Detection(
                id=row["ord"],
                session_name=f"{row['source'] or '?'}/{row['camera']}",
                event_name="appeared" if row["kind"] == "entered" else "disappeared",
                create_date_time=row["occurred_at"],
            )
            for row in rows
        ],
        pagination=Pagination(
            count=count, page=page, per_page=per_page, pages=math.ceil(count / per_page)
        ),
    )
