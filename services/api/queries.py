"""The gateway's questions to the tracker's schema. Pages are keysets: stable while rows come in."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import asyncpg

from posewire.api.database import Database
from posewire.shared.errors import PosewireError

Order = Literal["asc", "desc"]


class CursorError(PosewireError):
    """A cursor is none that this gateway gave, or belongs to another order."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which rows; None does not narrow. ``since`` is inclusive, ``until`` exclusive."""

    camera: str | None = None
    kinds: Sequence[str] = ()
    since: datetime | None = None
    until: datetime | None = None
    visit: UUID | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """How many rows from where."""

    limit: int = 100
    order: Order = "desc"
    cursor: str | None = None


@dataclass(slots=True)
class _Where:
    conditions: list[str] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)

    def add(self, condition: str, *values: Any) -> None:
        """Add a condition; each ``{}`` in it becomes the placeholder of a value."""
        places = []
        for value in values:
            self.values.append(value)
            places.append(f"${len(self.values)}")
        self.conditions.append(condition.format(*places))

    def __str__(self) -> str:
        return " WHERE " + " AND ".join(self.conditions) if self.conditions else ""


def encode_cursor(order: Order, *keys: str | int) -> str:
    """Return an opaque cursor that goes on after a row with these sort keys."""
    data = json.dumps([order, *keys], separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode_cursor(cursor: str, order: Order, types: Sequence[type]) -> list[Any]:
    """Return the sort keys in ``cursor``. Raises CursorError."""
    try:
        data = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        made_for, *keys = json.loads(data)
    except (binascii.Error, ValueError, TypeError):
        raise CursorError("cursor is none of ours; take it from 'next' of a page") from None
    if len(keys) != len(types) or any(type(k) is not t for k, t in zip(keys, types, strict=True)):
        raise CursorError("cursor belongs to another list; take it from 'next' of a page")
    if made_for != order:
        raise CursorError(f"cursor is for order={made_for}; keep the order from page to page")
    return list(keys)


async def events(
    database: Database, which: Filter, page: Page
) -> tuple[list[asyncpg.Record], str | None]:
    """Return a page of events by ``ord`` and the cursor of the next page.

    Raises StoreUnavailable, CursorError.
    """
    where = _Where()
    if which.camera is not None:
        where.add("camera = {}", which.camera)
    if which.kinds:
        where.add("kind = ANY({}::text[])", list(which.kinds))
    if which.since is not None:
        where.add("occurred_at >= {}", which.since)
    if which.until is not None:
        where.add("occurred_at < {}", which.until)
    if which.visit is not None:
        where.add("visit = {}", which.visit)
    if page.cursor is not None:
        (after,) = decode_cursor(page.cursor, page.order, (int,))
        if not 0 <= after < 2**63:
            raise CursorError("cursor is none of ours; take it from 'next' of a page")
        where.add(f"ord {_beyond(page.order)} {{}}", after)
    where.values.append(page.limit + 1)
    rows = await database.fetch(
        # Nothing of the request is in the text; its values are bound.
        "SELECT id, ord, camera, session, visit, visit_number, track, kind, reason, ordinal,"  # noqa: S608
        " seq, t, occurred_at, confirmed_at, people, zone, direction, seconds,"
        " EXISTS (SELECT FROM snapshot WHERE snapshot.event = event.id) AS snapshot FROM event"
        f"{where} ORDER BY ord {page.order} LIMIT ${len(where.values)}",
        *where.values,
    )
    if len(rows) <= page.limit:
        return rows, None
    rows = rows[: page.limit]
    return rows, encode_cursor(page.order, rows[-1]["ord"])


async def visits(
    database: Database, which: Filter, page: Page
) -> tuple[list[asyncpg.Record], str | None]:
    """Return a page of the visits that overlap the range, by first sight.

    Raises StoreUnavailable, CursorError.
    """
    where = _Where()
    if which.camera is not None:
        where.add("visit.camera = {}", which.camera)
    if which.since is not None:
        where.add("(visit.exited_at IS NULL OR visit.exited_at >= {})", which.since)
    if which.until is not None:
        where.add("visit.entered_at < {}", which.until)
    if which.visit is not None:
        where.add("visit.id = {}", which.visit)
    if page.cursor is not None:
        entered, number = decode_cursor(page.cursor, page.order, (str, str))
        try:
            after = datetime.fromisoformat(entered), UUID(number)
        except ValueError:
            raise CursorError("cursor is none of ours; take it from 'next' of a page") from None
        beyond = _beyond(page.order)
        where.add(f"(visit.entered_at, visit.id) {beyond} ({{}}, {{}})", *after)
    where.values.append(page.limit + 1)
    rows = await database.fetch(
        "SELECT visit.id, visit.camera, visit.session, session.source, visit.number,"  # noqa: S608
        " visit.track, visit.entered_at, visit.entered_seq, visit.entered_reason,"
        " visit.exited_at, visit.exited_seq, visit.exited_reason, visit.dwell_s"
        " FROM visit LEFT JOIN session ON session.id = visit.session"
        f"{where} ORDER BY visit.entered_at {page.order}, visit.id {page.order}"
        f" LIMIT ${len(where.values)}",
        *where.values,
    )
    if len(rows) <= page.limit:
        return rows, None
    rows = rows[: page.limit]
    last = rows[-1]
    return rows, encode_cursor(page.order, last["entered_at"].isoformat(), str(last["id"]))


def _beyond(order: Order) -> str:
    return ">" if order == "asc" else "<"


_OCCUPANCY = """
WITH bucket AS (
  SELECT number, $2::timestamptz + make_interval(secs => number * $4::int) AS starts
  FROM generate_series(0, $5::int - 1) AS number
), stay AS (
  SELECT entered_at, exited_at FROM visit
  WHERE ($1::text IS NULL OR camera = $1) AND entered_at < $3::timestamptz
    AND (exited_at IS NULL OR exited_at >= $2)
), horizon AS (
  -- Time to come says nothing; a file played faster than life lies in it all the same.
  SELECT least($3, greatest(now(), max(coalesce(exited_at, entered_at)))) AS ends FROM stay
), change AS (
  SELECT at, sum(delta) AS delta FROM (
    SELECT greatest(entered_at, $2) AS at, 1 AS delta FROM stay
    UNION ALL SELECT exited_at, -1 FROM stay WHERE exited_at < $3
    UNION ALL SELECT starts, 0 FROM bucket
  ) AS deltas GROUP BY at
), step AS (
  -- From each change to the next one; every bucket's start is one, so no step spans two.
  SELECT floor(extract(epoch FROM at - $2) / $4)::int AS number,
    sum(delta) OVER (ORDER BY at) AS people,
    extract(epoch FROM least(lead(at, 1, $3) OVER (ORDER BY at), ends) - at) AS seconds
  FROM change CROSS JOIN horizon
), stays AS (
  SELECT number, max(people)::int AS max_people, min(people)::int AS min_people,
    (sum(people * seconds) / sum(seconds))::float8 AS avg_people
  FROM step WHERE seconds > 0 GROUP BY number
), count AS (
  SELECT floor(extract(epoch FROM occurred_at - $2) / $4)::int AS number,
    count(*) FILTER (WHERE kind = 'entered') AS entered,
    count(*) FILTER (WHERE kind = 'exited') AS exited
  FROM event
  WHERE ($1 IS NULL OR camera = $1) AND kind IN ('entered', 'exited')
    AND occurred_at >= $2 AND occurred_at < $3
  GROUP BY 1
)
SELECT starts AS start, starts + make_interval(secs => $4) AS "end",
  coalesce(entered, 0) AS entered, coalesce(exited, 0) AS exited,
  max_people, min_people, avg_people
FROM bucket LEFT JOIN stays USING (number) LEFT JOIN count USING (number) ORDER BY number
"""


async def occupancy(
    database: Database, camera: str | None, since: datetime, bucket_s: int, count: int
) -> list[asyncpg.Record]:
    """Return ``count`` rows, one per bucket of ``bucket_s`` seconds from ``since`` on.

    The number of people is a step function of the visits' first and last sights; its maximum,
    minimum and time-weighted mean are taken within each bucket. Raises StoreUnavailable.
    """
    until = since + timedelta(seconds=bucket_s * count)
    return await database.fetch(_OCCUPANCY, camera, since, until, bucket_s, count)


async def detections(
    database: Database, page: int, per_page: int
) -> tuple[list[asyncpg.Record], int]:
    """Return a page of entered and exited events, oldest first, and how many there are."""
    count = await database.fetchval(
        "SELECT count(*) FROM event WHERE kind IN ('entered', 'exited')"
    )
    rows = await database.fetch(
        "SELECT event.ord, event.kind, event.occurred_at, event.camera, session.source"
        " FROM event LEFT JOIN session ON session.id = event.session"
        " WHERE kind IN ('entered', 'exited') ORDER BY event.ord LIMIT $1 OFFSET $2",
        per_page,
        (page - 1) * per_page,
    )
    return rows, count


_HOURS = """
WITH moment AS (
  SELECT occurred_at AT TIME ZONE $2 AS at FROM event
  WHERE kind = 'entered' AND ($1::text IS NULL OR camera = $1)
    AND occurred_at >= ((date_trunc('day', now() AT TIME ZONE $2) - make_interval(weeks => $3))
                        AT TIME ZONE $2)
), watched AS (
  -- Days with any event count as watched; the others say nothing.
  SELECT DISTINCT at::date AS day FROM moment
), days AS (
  SELECT extract(isodow FROM day)::int AS weekday,
    count(*) FILTER (WHERE day < (now() AT TIME ZONE $2)::date) AS days
  FROM watched GROUP BY 1
), entries AS (
  SELECT extract(isodow FROM at)::int AS weekday, extract(hour FROM at)::int AS hour,
    count(*) FILTER (WHERE at::date < (now() AT TIME ZONE $2)::date) AS before,
    count(*) FILTER (WHERE at::date = (now() AT TIME ZONE $2)::date) AS today
  FROM moment GROUP BY 1, 2
)
SELECT weekday, hour, before::float8 / nullif(days, 0) AS usual, today
FROM entries JOIN days USING (weekday) ORDER BY weekday, hour
"""
_DWELL = """
SELECT count(*) AS visits, avg(dwell_s) AS mean_s,
  percentile_cont(0.5) WITHIN GROUP (ORDER BY dwell_s) AS median_s
FROM visit
WHERE exited_at IS NOT NULL AND ($1::text IS NULL OR camera = $1) AND exited_at >= $2
"""


async def snapshot(database: Database, event: UUID) -> bytes | None:
    """Return the picture of an event, None where there is none. Raises StoreUnavailable."""
    jpeg: bytes | None = await database.fetchval(
        "SELECT jpeg FROM snapshot WHERE event = $1", event
    )
    return jpeg


async def hours(
    database: Database, camera: str | None, zone: str, weeks: int
) -> list[asyncpg.Record]:
    """Return how many people usually enter in each hour of the week, and in today's hours.

    Weekdays from 1 (Monday), hours of the IANA time zone ``zone``; hours without anybody are left
    out. ``usual`` is None where no earlier day was watched. Raises StoreUnavailable.
    """
    return await database.fetch(_HOURS, camera, zone, weeks)


async def dwell(database: Database, camera: str | None, since: datetime) -> asyncpg.Record:
    """Return number, mean and median of the visits that ended since. Raises StoreUnavailable."""
    rows = await database.fetch(_DWELL, camera, since)
    return rows[0]


async def areas(database: Database, camera: str) -> asyncpg.Record | None:
    """Return version and areas (JSON, or None) as drawn for a camera; None where never drawn."""
    rows = await database.fetch("SELECT version, areas FROM areas WHERE camera = $1", camera)
    return rows[0] if rows else None


async def put_areas(
    database: Database, camera: str, areas: str | None, expected: int | None
) -> bool:
    """Store areas (JSON; None for those of the configuration); False where that came too late.

    ``expected``: the version that it must follow; None: any. Raises StoreUnavailable, also where it
    is not known whether they were stored: stored twice, the second time would find the first.
    """
    rows = await database.change(
        "INSERT INTO areas AS a (camera, version, areas)"
        " SELECT $1, 1, $2::jsonb WHERE coalesce($3::bigint, 0) = 0"
        "   OR EXISTS (SELECT FROM areas WHERE camera = $1)"
        " ON CONFLICT (camera) DO UPDATE SET version = a.version + 1, areas = $2::jsonb,"
        " updated_at = now() WHERE a.version = coalesce($3::bigint, a.version)"
        " RETURNING version",
        camera,
        areas,
        expected,
    )
    return bool(rows)


async def schema_version(database: Database) -> int | None:
    """Return the newest applied migration. Raises StoreUnavailable where there is no schema."""
    version: int | None = await database.fetchval("SELECT max(version) FROM schema_migration")
    return version
