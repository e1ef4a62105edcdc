"""The schema report: what it says of known events, and who may read it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta, timezone
from typing import Any

import asyncpg
import pytest

from posewire.shared.messages import Event, FrameHeader
from posewire.shared.settings import DatabaseSettings
from posewire.tracker.store import Checkpoint, Rows, Store

NOON = datetime(2026, 3, 2, 12, tzinfo=timezone.utc)


def frame(session: str, camera: str) -> FrameHeader:
    return FrameHeader(
        camera=camera, session=session, seq=0, t=0.0, captured_at=NOON.timestamp(), width=640,
        height=480, source="film",
    )  # fmt: skip


class Book:
    """Writes events as the tracker does; times in seconds after noon."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._people: dict[str, int] = {}

    def add(self, camera: str, visit: int, kind: str, at: float, **more: Any) -> None:
        change = {"entered": 1, "exited": -1}.get(kind, 0)
        self._people[camera] = self._people.get(camera, 0) + change
        reason = {"entered": "walked_in", "exited": "left_view"}.get(kind)
        self.events.append(
            Event(
                id=f"00000000-0000-4000-8000-{len(self.events):012d}", camera=camera,
                session=f"s-{camera}", visit=visit, track=visit, kind=kind,  # type: ignore[arg-type]
                reason=reason, ordinal=0, seq=int(at * 10), t=at,  # type: ignore[arg-type]
                occurred_at=NOON.timestamp() + at, confirmed_at=NOON.timestamp() + at + 1,
                people=self._people[camera], **more,
            )
        )  # fmt: skip


def book() -> Book:
    """At the door somebody for 40 s and somebody for 20 s of them; in the hall one who stays."""
    written = Book()
    written.add("door", 1, "entered", 10)
    written.add("door", 2, "entered", 20)
    written.add("door", 1, "zone_entered", 22, zone="till")
    written.add("hall", 1, "entered", 25)
    written.add("door", 1, "line_crossed", 30, zone="gate", direction="in")
    written.add("door", 2, "exited", 40, seconds=20.0)
    written.add("door", 1, "zone_exited", 44, zone="till", seconds=22.0)
    written.add("door", 1, "exited", 50, seconds=40.0)
    return written


async def fill(url: str) -> None:
    """Commit the book as a tracker would."""
    store = Store(DatabaseSettings(url=url))
    try:
        for camera in ("door", "hall"):
            events = [event for event in book().events if event.camera == camera]
            rows = Rows(sessions=[frame(f"s-{camera}", camera)], events=events)
            await store.commit(
                rows, Checkpoint(camera, f"s-{camera}", 500, "1-0", b"", 1, ended=False)
            )
    finally:
        await store.close()


@pytest.fixture
async def reader(postgres_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection of somebody who may log in, and was given nothing else."""
    await fill(postgres_url)
    owner = await asyncpg.connect(postgres_url)
    try:
        await owner.execute(
            "DO $$ BEGIN CREATE ROLE a_reader; EXCEPTION WHEN duplicate_object THEN NULL; END $$"
        )
    finally:
        await owner.close()
    connection = await asyncpg.connect(postgres_url)
    await connection.execute("SET ROLE a_reader")
    yield connection
    await connection.close()


async def test_visits_and_events(reader: asyncpg.Connection) -> None:
    visits = await reader.fetch("SELECT * FROM report.visit ORDER BY entered_at")
    assert [(v["camera"], v["dwell_s"], v["source"]) for v in visits] == [
        ("door", 40, "film"), ("door", 20, "film"), ("hall", None, "film"),
    ]  # fmt: skip
    events = await reader.fetch("SELECT camera, kind, time FROM report.event ORDER BY time")
    assert [(e["camera"], e["kind"]) for e in events] == [(e.camera, e.kind) for e in book().events]
    assert events[0]["time"] == NOON + timedelta(seconds=10)


async def test_zones_and_lines(reader: asyncpg.Connection) -> None:
    (stay,) = await reader.fetch("SELECT * FROM report.zone_stay")
    assert (stay["camera"], stay["zone"], stay["seconds"]) == ("door", "till", 22)
    assert stay["entered_at"] == NOON + timedelta(seconds=22)
    (crossing,) = await reader.fetch("SELECT * FROM report.crossing")
    assert (crossing["line"], crossing["direction"]) == ("gate", "in")


async def test_who_is_there_now(reader: asyncpg.Connection) -> None:
    cameras = await reader.fetch("SELECT * FROM report.camera ORDER BY camera")
    assert [(c["camera"], c["people"]) for c in cameras] == [("door", 0), ("hall", 1)]
    assert cameras[0]["last_event_at"] == NOON + timedelta(seconds=50)
    assert datetime.now(timezone.utc) - cameras[0]["followed_at"] < timedelta(minutes=5)


async def occupancy(
    reader: asyncpg.Connection, since_s: float, until_s: float, step_s: float, *cameras: str
) -> dict[str, dict[float, int]]:
    rows = await reader.fetch(
        "SELECT * FROM report.occupancy($1, $2, $3, $4)", list(cameras),
        NOON + timedelta(seconds=since_s), NOON + timedelta(seconds=until_s),
        timedelta(seconds=step_s),
    )  # fmt: skip
    found: dict[str, dict[float, int]] = {}
    for row in rows:
        found.setdefault(row["camera"], {})[(row["time"] - NOON).total_seconds()] = row["people"]
    return found


async def test_occupancy_is_the_most_at_once_in_each_step(reader: asyncpg.Connection) -> None:
    found = await occupancy(reader, 0, 60, 10, "door", "hall")
    assert found["door"] == {0: 0, 10: 1, 20: 2, 30: 2, 40: 1, 50: 0}
    assert found["hall"] == {0: 0, 10: 0, 20: 1, 30: 1, 40: 1, 50: 1}


async def test_occupancy_knows_who_came_before(reader: asyncpg.Connection) -> None:
    assert await occupancy(reader, 45, 60, 5, "door") == {"door": {45: 1, 50: 0, 55: 0}}


async def test_occupancy_is_bounded(reader: asyncpg.Connection) -> None:
    """A year in steps of a second, or of none, is answered in coarser ones."""
    year = 366 * 86400
    found = await occupancy(reader, -year, 3600, 0, "door")
    assert len(found["door"]) <= 5001
    assert max(found["door"].values()) == 2


@pytest.mark.parametrize("table", ["visit", "event", "checkpoint", "snapshot", "areas"])
async def test_nothing_else_can_be_read(reader: asyncpg.Connection, table: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await reader.fetch(f"SELECT * FROM public.{table}")
