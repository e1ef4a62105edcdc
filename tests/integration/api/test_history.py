"""Events, visits, occupancy and detections from a real Postgres."""

from __future__ import annotations

import csv
import io
import json
import uuid
from collections.abc import AsyncIterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from posewire.api.app import create_app
from posewire.launcher.embedded import EmbeddedPostgres
from posewire.shared.database import migrate
from posewire.shared.settings import DatabaseSettings
from tests.integration.api.conftest import kill, settings
from tests.memory_bus import MemoryBus

START = datetime(2026, 3, 1, 9, 0, tzinfo=timezone.utc)


class Rows:
    """Writes rows as the tracker does."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self.connection = connection
        self.numbers: dict[str, int] = {}

    async def session(self, name: str, camera: str = "main", source: str = "demo") -> None:
        await self.connection.execute(
            "INSERT INTO session VALUES ($1, $2, $3, $4, NULL)", name, camera, source, START
        )

    async def visit(
        self, session: str, enter_s: float, exit_s: float | None, camera: str = "main"
    ) -> uuid.UUID:
        """Insert a visit and its events; times are seconds after START."""
        number = self.numbers[session] = self.numbers.get(session, 0) + 1
        visit = uuid.uuid5(uuid.NAMESPACE_URL, f"{camera}/{session}/{number}")
        entered = START + timedelta(seconds=enter_s)
        exited = None if exit_s is None else START + timedelta(seconds=exit_s)
        await self.connection.execute(
            "INSERT INTO visit VALUES ($1,$2,$3,$4,$4,$5,$6,'walked_in',$7,$8,$9,$10)",
            visit, camera, session, number, entered, int(enter_s * 10), exited,
            None if exit_s is None else int(exit_s * 10),
            None if exit_s is None else "left_view",
            None if exit_s is None else exit_s - enter_s,
        )  # fmt: skip
        await self.event(visit, camera, session, number, "entered", "walked_in", enter_s)
        if exit_s is not None:
            await self.event(visit, camera, session, number, "exited", "left_view", exit_s)
        return visit

    async def event(
        self, visit: uuid.UUID, camera: str, session: str, number: int, kind: str,
        reason: str | None, at_s: float,
    ) -> None:  # fmt: skip
        at = START + timedelta(seconds=at_s)
        await self.connection.execute(
            "INSERT INTO event (id, camera, session, visit, visit_number, track, kind, reason,"
            " ordinal, seq, t, occurred_at, confirmed_at, people)"
            " VALUES ($1,$2,$3,$4,$5,$5,$6,$7,0,$8,$9,$10,$11,1)",
            uuid.uuid5(visit, kind), camera, session, visit, number, kind, reason,
            int(at_s * 10), at_s, at, at + timedelta(seconds=0.5),
        )  # fmt: skip


@pytest.fixture
async def rows(postgres_url: str) -> AsyncIterator[Rows]:
    await migrate(DatabaseSettings(url=postgres_url))
    connection = await asyncpg.connect(postgres_url)
    rows = Rows(connection)
    await rows.session("s1")
    yield rows
    await connection.close()


@pytest.fixture
async def client(postgres_url: str) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(settings(database={"url": postgres_url}), MemoryBus())
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client
    await app.state.gateway.database.close()


async def get(client: httpx.AsyncClient, path: str, **query: Any) -> Any:
    names = {"since": "from", "until": "to"}
    response = await client.get(path, params={names.get(k, k): v for k, v in query.items()})
    assert response.status_code == 200, response.text
    return response.json()


def at(seconds: float) -> str:
    return (START + timedelta(seconds=seconds)).isoformat()


async def test_events_newest_first_with_every_column(client: httpx.AsyncClient, rows: Rows) -> None:
    visit = await rows.visit("s1", 1.0, 5.5)
    page = await get(client, "/api/v1/events")
    assert [event["kind"] for event in page["events"]] == ["exited", "entered"]
    assert page["next"] is None
    entered = page["events"][1]
    assert entered == {
        "id": str(uuid.uuid5(visit, "entered")), "ord": entered["ord"], "camera": "main",
        "session": "s1", "visit": str(visit), "visit_number": 1, "track": 1, "kind": "entered",
        "reason": "walked_in", "ordinal": 0, "seq": 10, "t": 1.0,
        "occurred_at": "2026-03-01T09:00:01Z", "confirmed_at": "2026-03-01T09:00:01.500000Z",
        "people": 1, "zone": None, "direction": None, "seconds": None, "snapshot": False,
    }  # fmt: skip


async def test_event_filters(client: httpx.AsyncClient, rows: Rows) -> None:
    await rows.session("s2", camera="back", source="door")
    first = await rows.visit("s1", 0, 10)
    await rows.visit("s1", 20, 30)
    await rows.visit("s2", 5, None, camera="back")

    async def times(**query: Any) -> list[float]:
        page = await get(client, "/api/v1/events", order="asc", **query)
        return [event["t"] for event in page["events"]]

    assert await times() == [0, 10, 20, 30, 5]
    assert await times(camera="main") == [0, 10, 20, 30]
    assert await times(camera="removed") == []
    assert await times(kind="exited") == [10, 30]
    assert await times(kind=["exited", "entered"], camera="back") == [5]
    assert await times(visit=str(first)) == [0, 10]
    assert await times(since=at(10), until=at(30)) == [10, 20]
    assert await times(since="2026-03-01T10:00:10+01:00", until="2026-03-01T09:00:30") == [10, 20]
    response = await client.get("/api/v1/events?from=2026-03-01T10:00:10+01:00&order=asc")
    assert [event["t"] for event in response.json()["events"]] == [10, 20, 30]


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("what", ["events", "visits"])
async def test_pages_meet_without_gap_or_overlap_while_rows_come_in(
    client: httpx.AsyncClient, rows: Rows, order: str, what: str
) -> None:
    for number in range(7):
        await rows.visit("s1", number // 2, 20)  # equal times: the cursor must tell them apart
    everything = await get(client, f"/api/v1/{what}", order=order)
    wanted = [row["id"] for row in everything[what]]
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = await get(client, f"/api/v1/{what}", order=order, limit=3, **cursor)
        seen += [row["id"] for row in page[what]]
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
        if len(seen) == 3:
            await rows.visit("s1", 30, None)
    assert seen[: len(wanted)] == wanted
    assert len(set(seen)) == len(seen)


async def test_the_link_header_leads_through_all_pages(
    client: httpx.AsyncClient, rows: Rows
) -> None:
    for number in range(5):
        await rows.visit("s1", number, number + 1)
    url: str | None = "/api/v1/events?format=csv&limit=4&order=asc&kind=entered&kind=exited"
    found: list[dict[str, str]] = []
    while url is not None:
        response = await client.get(url)
        assert response.headers["content-type"].startswith("text/csv")
        found += csv.DictReader(io.StringIO(response.text))
        url = response.links["next"]["url"] if "next" in response.links else None
    assert [float(row["t"]) for row in found] == [0, 1, 1, 2, 2, 3, 3, 4, 4, 5]


async def test_ndjson_and_csv_hold_what_json_holds(client: httpx.AsyncClient, rows: Rows) -> None:
    await rows.visit("s1", 1.25, None)
    for what in ("events", "visits"):
        expected = (await get(client, f"/api/v1/{what}"))[what]
        response = await client.get(f"/api/v1/{what}", headers={"accept": "application/x-ndjson"})
        assert [json.loads(line) for line in response.text.splitlines()] == expected
        table = await client.get(f"/api/v1/{what}", headers={"accept": "text/csv"})
        (row,) = csv.DictReader(io.StringIO(table.text))
        assert row == {k: "" if v is None else str(v) for k, v in expected[0].items()}


async def test_visits_that_overlap_a_range(client: httpx.AsyncClient, rows: Rows) -> None:
    ids = [await rows.visit("s1", *span) for span in ((0, 10), (5, 30), (40, None))]

    async def found(**query: Any) -> list[int]:
        page = await get(client, "/api/v1/visits", order="asc", **query)
        return [ids.index(uuid.UUID(visit["id"])) for visit in page["visits"]]

    assert await found() == [0, 1, 2]
    assert await found(since=at(10.5), until=at(39)) == [1]
    assert await found(since=at(10), until=at(40)) == [0, 1]
    assert await found(since=at(50)) == [2]
    assert await found(until=at(5)) == [0]
    assert await found(visit=str(ids[1])) == [1]
    (visit,) = (await get(client, "/api/v1/visits", visit=str(ids[0])))["visits"]
    assert (visit["source"], visit["dwell_s"], visit["exited_seq"]) == ("demo", 10.0, 100)


async def test_occupancy(client: httpx.AsyncClient, rows: Rows) -> None:
    await rows.visit("s1", -30, 30)  # is there already when the range begins
    await rows.visit("s1", 15, 90)
    await rows.visit("s1", 60, 60)  # seen in one frame only, on a bucket's edge
    await rows.session("s2", camera="back")
    await rows.visit("s2", 0, 120, camera="back")
    answer = await get(
        client, "/api/v1/occupancy", camera="main", bucket="minute", since=at(20), until=at(130)
    )
    assert answer["bucket_s"] == 60
    first, second, third = answer["buckets"]
    assert (first["start"], first["end"]) == ("2026-03-01T09:00:00Z", "2026-03-01T09:01:00Z")
    assert (first["entered"], first["exited"]) == (1, 1)
    assert (first["max_people"], first["min_people"]) == (2, 1)
    assert first["avg_people"] == pytest.approx((15 * 1 + 15 * 2 + 30 * 1) / 60)
    assert (second["entered"], second["exited"]) == (1, 2)
    assert (second["max_people"], second["min_people"]) == (1, 0)
    assert second["avg_people"] == pytest.approx(0.5)
    assert (third["max_people"], third["avg_people"]) == (0, 0.0)
    together = await get(client, "/api/v1/occupancy", bucket="60", since=at(0), until=at(60))
    assert [bucket["max_people"] for bucket in together["buckets"]] == [3]


async def test_occupancy_of_time_to_come_is_null(client: httpx.AsyncClient, rows: Rows) -> None:
    now = datetime.now(timezone.utc)
    await rows.visit("s1", (now - START).total_seconds() - 1, None)
    until = now + timedelta(minutes=5)
    answer = await get(
        client, "/api/v1/occupancy", bucket="minute", since=now.isoformat(),
        until=until.isoformat(),
    )  # fmt: skip
    buckets = answer["buckets"]
    assert buckets[0]["max_people"] == 1
    assert [bucket["max_people"] for bucket in buckets[2:]] == [None] * len(buckets[2:])


async def test_occupancy_without_a_range_ends_now(client: httpx.AsyncClient, rows: Rows) -> None:
    for bucket, count in (("minute", 60), ("hour", 24), ("day", 30), ("15", 60)):
        buckets = (await get(client, "/api/v1/occupancy", bucket=bucket))["buckets"]
        assert len(buckets) == count
        last = buckets[-1]
        now = datetime.now(timezone.utc) - timedelta(seconds=1)
        assert datetime.fromisoformat(last["end"].replace("Z", "+00:00")) >= now


async def test_detections_have_exactly_the_old_shape(client: httpx.AsyncClient, rows: Rows) -> None:
    visit = await rows.visit("s1", 0, 10)
    await rows.event(visit, "main", "s1", 1, "dwelled", None, 8)
    for number in range(1, 6):
        await rows.visit("s1", number * 20, number * 20 + 10)
    answer = await get(client, "/detections")
    assert list(answer) == ["results", "pagination"]
    assert answer["pagination"] == {"count": 12, "page": 1, "per_page": 10, "pages": 2}
    assert len(answer["results"]) == 10
    first, second = answer["results"][:2]
    assert list(first) == ["id", "session_name", "event_name", "create_date_time"]
    assert first == {
        "id": 1, "session_name": "demo/main", "event_name": "appeared",
        "create_date_time": "2026-03-01T09:00:00Z",
    }  # fmt: skip
    assert (second["id"], second["event_name"]) == (2, "disappeared")
    ids = [row["id"] for row in answer["results"]]
    page = await get(client, "/detections", **{"page": 2, "per-page": 10})
    ids += [row["id"] for row in page["results"]]
    assert ids == sorted(ids)
    assert len(set(ids)) == 12
    beyond = await get(client, "/detections", **{"page": 9, "per-page": 5})
    assert beyond == {
        "results": [], "pagination": {"count": 12, "page": 9, "per_page": 5, "pages": 3}
    }  # fmt: skip


async def test_detections_of_an_empty_database(client: httpx.AsyncClient, rows: Rows) -> None:
    assert await get(client, "/detections") == {
        "results": [], "pagination": {"count": 0, "page": 1, "per_page": 10, "pages": 0}
    }  # fmt: skip


async def test_a_database_without_schema_is_a_503_that_says_so(client: httpx.AsyncClient) -> None:
    response = await client.get("/api/v1/events")
    assert response.status_code == 503
    assert "no schema yet" in response.json()["detail"]
    ready = (await client.get("/readyz")).json()
    assert (ready["checks"]["database"]["ok"], ready["checks"]["schema"]["ok"]) == (True, False)


async def test_readiness_with_everything_there(client: httpx.AsyncClient, rows: Rows) -> None:
    response = await client.get("/readyz")
    assert response.status_code == 200, response.text
    assert response.json()["ready"] is True


async def test_postgres_away_at_the_start_killed_and_back(tmp_path: Path) -> None:
    postgres = EmbeddedPostgres(tmp_path / "postgres")
    app = create_app(settings(database={"url": postgres.url}), MemoryBus())
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        assert (await client.get("/api/v1/events")).status_code == 503
        try:
            for _ in range(2):
                await postgres.start()
                await migrate(DatabaseSettings(url=postgres.url))
                assert (await client.get("/api/v1/events")).status_code == 200
                await kill(postgres)
                response = await client.get("/api/v1/events")
                assert response.status_code == 503
                assert response.headers["content-type"] == "application/problem+json"
        finally:
            await postgres.stop()
            await app.state.gateway.database.close()


async def test_all_events_as_csv_however_many(client: httpx.AsyncClient, rows: Rows) -> None:
    await rows.session("s2", camera="back")
    for number in range(600):
        await rows.visit("s1", number, number + 0.5)
    await rows.visit("s2", 0, 1, camera="back")
    answer = await client.get("/api/v1/events.csv", params={"camera": "main"})
    assert answer.headers["content-disposition"] == 'attachment; filename="events.csv"'
    table = list(csv.DictReader(io.StringIO(answer.text)))
    assert len(table) == 1200
    assert [int(row["ord"]) for row in table] == sorted(int(row["ord"]) for row in table)
    some = await client.get("/api/v1/events.csv", params={"kind": "exited", "to": at(10)})
    assert {row["kind"] for row in csv.DictReader(io.StringIO(some.text))} == {"exited"}
    assert (await client.get("/api/v1/events.csv", params={"kind": "x"})).status_code == 422


async def test_patterns_tell_the_usual_and_today(client: httpx.AsyncClient, rows: Rows) -> None:
    now = datetime.now(timezone.utc)
    noon = now.replace(hour=12, minute=0, second=0, microsecond=0)
    for days, people in ((0, 3), (7, 2), (14, 4), (6, 1)):
        for number in range(people):
            seconds = (noon - timedelta(days=days) - START).total_seconds() + number
            await rows.visit("s1", seconds, seconds + 10)
    page = await get(client, "/api/v1/patterns", camera="main", tz="UTC")
    assert page["weekday"] == now.isoweekday()
    hours = {(h["weekday"], h["hour"]): (h["usual"], h["today"]) for h in page["hours"]}
    assert hours == {
        (now.isoweekday(), 12): (3.0, 3),
        ((now - timedelta(days=6)).isoweekday(), 12): (1.0, 0),
    }
    assert (page["visits"], page["mean_dwell_s"], page["median_dwell_s"]) == (10, 10.0, 10.0)
    east = await get(client, "/api/v1/patterns", tz="Asia/Tokyo")
    assert {hour["hour"] for hour in east["hours"]} == {21}
    nobody = await get(client, "/api/v1/patterns", camera="back")
    assert (nobody["hours"], nobody["visits"], nobody["mean_dwell_s"]) == ([], 0, None)
    wrong = await client.get("/api/v1/patterns", params={"tz": "Mars/Olympus"})
    assert wrong.status_code == 422
    assert "no time zone" in wrong.json()["detail"]
