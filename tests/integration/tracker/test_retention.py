"""What is too old goes, bit by bit; what is needed stays."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from posewire.shared.database import migrate
from posewire.shared.errors import ConfigError
from posewire.shared.settings import CameraRetention, RetentionSettings, Settings, load_settings
from posewire.tracker.store import Store
from posewire.tracker.store.retention import sweep

FILL = """
INSERT INTO session SELECT camera || '-old', camera, 'demo', now() - interval '100 days',
  now() - interval '50 days' FROM unnest($1::text[]) AS camera;
"""
VISITS = """
WITH made AS (
  SELECT $1::text AS camera, n, now() - make_interval(days => n) AS at
  FROM generate_series(1, $2::int) AS n
), visits AS (
  INSERT INTO visit (id, camera, session, number, track, entered_at, entered_seq, entered_reason,
    exited_at, exited_seq, exited_reason, dwell_s)
  SELECT md5(camera || n)::uuid, camera, camera || '-old', n, n, at, n, 'walked_in',
    at + interval '1 minute', n, 'left_view', 60 FROM made
)
INSERT INTO event (id, camera, session, visit, visit_number, track, kind, reason, ordinal, seq, t,
  occurred_at, confirmed_at, people)
SELECT md5(camera || n || 'e')::uuid, camera, camera || '-old', md5(camera || n)::uuid, n, n,
  'entered', 'walked_in', 0, n, n, at, at, 1 FROM made
"""


def settings_for(url: str, **retention: Any) -> Settings:
    return Settings.model_validate(
        {
            "database": {"url": url},
            "cameras": {
                "door": {"source": "demo"},
                "yard": {"source": "demo", "retention": {"visits_days": 5}},
            },
            "retention": retention,
        }
    )


@pytest.fixture
async def filled(postgres_url: str) -> AsyncIterator[asyncpg.Connection]:
    """40 days of visits of three cameras, one of which is configured no more."""
    await migrate(settings_for(postgres_url).database)
    connection = await asyncpg.connect(postgres_url)
    await connection.execute(FILL, ["door", "yard", "gone"])
    for camera in ("door", "yard", "gone"):
        await connection.execute(VISITS, camera, 40)
    yield connection
    await connection.close()


async def left(connection: asyncpg.Connection, table: str) -> dict[str, int]:
    rows = await connection.fetch(f"SELECT camera, count(*) FROM {table} GROUP BY camera")
    return {row["camera"]: row["count"] for row in rows}


async def test_nothing_goes_by_default(filled: asyncpg.Connection, postgres_url: str) -> None:
    settings = settings_for(postgres_url)
    alone = settings.model_copy(update={"cameras": {"door": settings.cameras["door"]}})
    store = Store(alone.database)
    assert await sweep(alone, store) == {}
    assert await left(filled, "event") == {"door": 40, "yard": 40, "gone": 40}
    await store.close()


async def test_each_camera_keeps_its_days(filled: asyncpg.Connection, postgres_url: str) -> None:
    settings = settings_for(postgres_url, events_days=10, visits_days=30)
    store = Store(settings.database)
    removed = await sweep(settings, store, batch=7, pause_s=0)
    assert await left(filled, "event") == {"door": 9, "gone": 9, "yard": 4}
    # They ended a minute after they began.
    assert await left(filled, "visit") == {"door": 30, "gone": 30, "yard": 5}
    assert removed == {"event": 31 + 31 + 36, "visit": 10 + 10 + 35}
    assert await sweep(settings, store) == {}
    await store.close()


async def test_who_is_there_still_stays_and_empty_sessions_go(
    filled: asyncpg.Connection, postgres_url: str
) -> None:
    await filled.execute("UPDATE visit SET exited_at = NULL WHERE number = 40 AND camera = 'door'")
    await filled.execute(
        "INSERT INTO checkpoint VALUES ('door', 'door-old', 1, '1-0', '', 1, false)"
    )
    await filled.execute(
        "INSERT INTO session SELECT 'empty-' || n, 'yard', 'demo', at, at FROM"
        " (SELECT n, now() - make_interval(days => n) AS at FROM generate_series(1, 9) AS n) AS s"
    )
    settings = settings_for(postgres_url, visits_days=1)
    store = Store(settings.database)
    await sweep(settings, store)
    # The camera yard keeps five days.
    assert await left(filled, "event") == {"yard": 4}
    numbers = await filled.fetch("SELECT number FROM visit WHERE camera <> 'yard' ORDER BY number")
    assert [row["number"] for row in numbers] == [1, 1, 40]
    sessions = [row["id"] for row in await filled.fetch("SELECT id FROM session ORDER BY id")]
    kept = [f"empty-{n}" for n in (1, 2, 3, 4)]
    assert sessions == ["door-old", *kept, "gone-old", "yard-old"]
    await store.close()


async def test_pictures_go_by_themselves_and_with_their_events(
    filled: asyncpg.Connection, postgres_url: str
) -> None:
    await filled.execute(
        "INSERT INTO snapshot SELECT id, '', now() - make_interval(days => 2 * seq) FROM event"
    )
    settings = settings_for(postgres_url)
    store = Store(settings.database)
    await sweep(settings, store)
    rows = await filled.fetch(
        "SELECT camera, count(*) FROM snapshot JOIN event ON id = event GROUP BY camera"
    )
    assert {row["camera"]: row["count"] for row in rows} == {"door": 14, "gone": 14, "yard": 4}
    await store.close()


async def test_readers_and_writers_do_not_wait(
    filled: asyncpg.Connection, postgres_url: str
) -> None:
    for number in range(3):
        await filled.execute(
            VISITS.replace("md5(camera", f"md5('{number}' || camera").replace(
                "camera || '-old', n, n, at", f"camera || '-old', n + {number + 1} * 10000, n, at"
            ),
            "door",
            5000,
        )
    settings = settings_for(postgres_url, visits_days=1)
    store, longest, stop = Store(settings.database), 0.0, asyncio.Event()

    async def read() -> None:
        nonlocal longest
        while not stop.is_set():
            started = time.monotonic()
            await filled.fetch("SELECT * FROM event ORDER BY ord DESC LIMIT 100")
            await filled.execute("UPDATE visit SET track = track WHERE number = 1")
            longest = max(longest, time.monotonic() - started)
            await asyncio.sleep(0.005)

    reading = asyncio.create_task(read())
    removed = await sweep(settings, store, pause_s=0.01)
    stop.set()
    await reading
    assert removed["event"] > 15_000
    assert longest < 1.0
    await store.close()


async def test_two_trackers_do_not_tidy_at_once(
    filled: asyncpg.Connection, postgres_url: str
) -> None:
    settings = settings_for(postgres_url, visits_days=1)
    store = Store(settings.database)
    async with filled.transaction():
        await filled.execute("SELECT pg_advisory_xact_lock(x'70726574'::int)")
        assert await sweep(settings, store) == {}
    assert (await sweep(settings, store))["event"] > 100
    await store.close()


def test_what_holds_for_a_camera() -> None:
    general = RetentionSettings(visits_days=90)
    assert general.of(CameraRetention()).events_days == 90
    assert general.of(CameraRetention(events_days=7)).events_days == 7
    assert general.of(CameraRetention(visits_days=3)).events_days == 3
    assert general.of(CameraRetention(visits_days=3)).snapshots_days == 30
    with pytest.raises(ConfigError, match=r"events_days \(9\) must not be above visits_days"):
        load_settings(overrides={"retention": {"events_days": 9, "visits_days": 3}})
