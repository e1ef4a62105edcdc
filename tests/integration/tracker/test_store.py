"""The tracker on a real Postgres: rows, state and position are one, whatever fails in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import msgspec
import pytest
from structlog.testing import capture_logs

from posewire.launcher.embedded import EmbeddedPostgres
from posewire.shared.bus import keys
from posewire.shared.errors import LeaseLost, StoreError, StoreUnavailable
from posewire.shared.messages import PoseResult, Progress, SessionEnd, TrackUpdate
from posewire.shared.settings import Areas, DatabaseSettings, Settings
from posewire.tracker.service import run, serve
from posewire.tracker.store import Checkpoint, Rows, Store
from tests.memory_bus import MemoryBus
from tests.unit.tracker.scenes import end_of, events_of, results, walk

SCENE = results([walk(1, -0.1, 1.1), walk(3, 1.1, -0.1, top=0.45)], 11)
END = end_of(SCENE)
EXPECTED = [event.id for event in events_of(SCENE)]


@pytest.fixture
def settings(postgres_url: str) -> Settings:
    return Settings(
        database=DatabaseSettings(url=postgres_url),
        cameras={"door": {"source": "demo", "policy": "lossless"}},
        tracker={"commit_every_s": 0.05},
    )


@pytest.fixture
async def store(settings: Settings) -> AsyncIterator[Store]:
    store = Store(settings.database)
    yield store
    await store.close()


async def fetch(settings: Settings, query: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(settings.database.url)
    try:
        return list(await connection.fetch(query))
    finally:
        await connection.close()


async def event_ids(settings: Settings) -> list[str]:
    return [str(row["id"]) for row in await fetch(settings, "SELECT id FROM event ORDER BY ord")]


async def feed(bus: MemoryBus, messages: list[PoseResult | SessionEnd]) -> None:
    for message in messages:
        await bus.publish(keys.poses("door"), message, maxlen=1000)


async def run_until_ended(settings: Settings, bus: MemoryBus) -> None:
    """Run the service until it has committed the session's end."""
    service = asyncio.create_task(run(settings, bus))
    try:
        for _ in range(1000):
            progress = await bus.get(keys.progress("door"))
            if isinstance(progress, Progress) and progress.ended:
                return
            assert not service.done(), service
            await asyncio.sleep(0.01)
        pytest.fail("the end was not committed within 10 s")
    finally:
        service.cancel()
        await asyncio.gather(service, return_exceptions=True)


async def test_a_session_becomes_rows(settings: Settings) -> None:
    bus = MemoryBus()
    await feed(bus, [*SCENE, END])
    await run_until_ended(settings, bus)
    assert await event_ids(settings) == EXPECTED
    visits = await fetch(settings, "SELECT * FROM visit ORDER BY number")
    assert [v["number"] for v in visits] == [1, 2]
    assert all(v["dwell_s"] > 3 and v["exited_reason"] == "left_view" for v in visits)
    (session,) = await fetch(settings, "SELECT * FROM session")
    assert session["ended_at"] is not None
    tracks = [e.message for e in await bus.reader(keys.tracks("door")).read(count=1000)]
    updates = [m for m in tracks if isinstance(m, TrackUpdate)]
    assert [u.frame.seq for u in updates] == list(range(len(SCENE)))
    assert isinstance(tracks[-1], SessionEnd)


async def test_a_clock_that_was_set_makes_no_visit_long(settings: Settings) -> None:
    """A Pi without a battery clock learns the time while somebody is in view."""
    bus = MemoryBus()

    def later(result: PoseResult) -> PoseResult:
        frame = result.frame
        step_s = 1.7e9 if frame.seq >= 30 else 0
        frame = msgspec.structs.replace(frame, captured_at=frame.captured_at + step_s)
        return msgspec.structs.replace(result, frame=frame)

    await feed(bus, [*map(later, SCENE), END])
    await run_until_ended(settings, bus)
    visits = await fetch(settings, "SELECT * FROM visit ORDER BY number")
    assert [3 < v["dwell_s"] < 12 for v in visits] == [True, True]
    assert all(v["exited_at"].year > 2020 for v in visits)


@pytest.mark.parametrize("cut", [1, 20, 37, 60, len(SCENE)])
async def test_a_crash_anywhere_changes_nothing(settings: Settings, cut: int) -> None:
    bus = MemoryBus()
    await feed(bus, list(SCENE[:cut]))
    service = asyncio.create_task(run(settings, bus))
    for _ in range(500):
        progress = await bus.get(keys.progress("door"))
        if isinstance(progress, Progress) and progress.seq >= cut // 2:
            break
        await asyncio.sleep(0.01)
    service.cancel()
    await asyncio.gather(service, return_exceptions=True)
    # What comes again is dropped, what is new is taken.
    await feed(bus, [*SCENE[max(0, cut - 5) :], END])
    await run_until_ended(settings, bus)
    assert await event_ids(settings) == EXPECTED


@pytest.mark.parametrize("keep_data", [True, False])
async def test_a_restarted_bus_changes_nothing(settings: Settings, keep_data: bool) -> None:
    bus = MemoryBus()
    service = asyncio.create_task(run(settings, bus))
    await feed(bus, list(SCENE[:50]))
    for _ in range(500):
        progress = await bus.get(keys.progress("door"))
        if isinstance(progress, Progress) and progress.seq >= 49:
            break
        await asyncio.sleep(0.01)
    bus.restart(keep_data=keep_data)
    # Told again, so that capture knows where to go on.
    for _ in range(500):
        progress = await bus.get(keys.progress("door"))
        if isinstance(progress, Progress):
            break
        await asyncio.sleep(0.01)
    assert isinstance(progress, Progress)
    assert progress.seq == 49
    await feed(bus, [*SCENE[40:], END])
    service.cancel()
    await asyncio.gather(service, return_exceptions=True)
    await run_until_ended(settings, bus)
    assert await event_ids(settings) == EXPECTED


async def test_a_tracker_waits_for_a_database_that_is_down(
    postgres: EmbeddedPostgres, settings: Settings
) -> None:
    bus = MemoryBus()
    await feed(bus, [*SCENE, END])
    service = asyncio.create_task(run(settings, bus))
    await postgres.stop()
    await asyncio.sleep(0.3)
    assert not service.done()
    await postgres.start()
    service.cancel()
    await asyncio.gather(service, return_exceptions=True)
    await run_until_ended(settings, bus)
    assert await event_ids(settings) == EXPECTED


async def test_a_tracker_that_was_overtaken_cannot_commit(store: Store) -> None:
    first = Checkpoint("door", "s", 1, "1-0", b"a", 1, ended=False)
    await store.commit(Rows(), first)
    with pytest.raises(LeaseLost, match="another tracker"):
        await store.commit(Rows(), Checkpoint("door", "s", 9, "9-0", b"b", 1, ended=False))
    assert await store.checkpoint("door") == first


async def test_a_row_that_is_refused_is_passed_over(store: Store, settings: Settings) -> None:
    """Else the camera would be stuck at it for ever; the rows beside it are stored."""
    whole = events_of(SCENE)[0]
    orphan = msgspec.structs.replace(  # there is no such session
        whole, id="00000000-0000-0000-0000-000000000001", session="none"
    )
    beyond = msgspec.structs.replace(
        whole, id="00000000-0000-0000-0000-000000000002", ordinal=2**40
    )
    rows = Rows(sessions=[SCENE[0].frame], events=[orphan, whole, beyond], ends=[END])
    new = Checkpoint("door", "s", 1, "1-0", b"a", 1, ended=False)
    with capture_logs() as logs:
        await store.commit(rows, new)
    assert await store.checkpoint("door") == new
    assert await event_ids(settings) == [whole.id]
    (session,) = await fetch(settings, "SELECT ended_at FROM session")
    assert session["ended_at"] is not None
    refused = [entry["row"] for entry in logs if entry["event"] == "tracker.row_refused"]
    assert [orphan.id in refused[0], beyond.id in refused[1], len(refused)] == [True, True, 2]


async def test_two_trackers_share_a_camera_without_harm(settings: Settings) -> None:
    bus = MemoryBus()
    one, two = (Store(settings.database) for _ in range(2))
    key = keys.lease("door", "tracker")
    tasks = [
        asyncio.create_task(serve("door", settings, bus, s, bus.lease(key, ttl_s=3)))
        for s in (one, two)
    ]
    await feed(bus, [*SCENE, END])
    await asyncio.sleep(1.5)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await one.close()
    await two.close()
    assert await event_ids(settings) == EXPECTED


async def test_nobody_there_is_unavailable_without_a_password() -> None:
    store = Store(DatabaseSettings(url="postgresql://user:secret@127.0.0.1:1/x", timeout_s=1))
    with pytest.raises(StoreUnavailable) as error:
        await store.checkpoint("door")
    assert "secret" not in str(error.value)


async def test_a_newer_schema_is_refused(store: Store, settings: Settings) -> None:
    await store.checkpoint("door")
    connection = await asyncpg.connect(settings.database.url)
    await connection.execute("INSERT INTO schema_migration VALUES (99)")
    await connection.close()
    other = Store(settings.database)
    with pytest.raises(StoreError, match=r"schema 99.*update Posewire"):
        await other.checkpoint("door")
    await other.close()


async def test_junk_on_the_stream_is_dropped(settings: Settings) -> None:
    bus = MemoryBus()
    await bus.inject(keys.poses("door"), b"\x00junk")
    await feed(bus, list(SCENE[:30]))
    await bus.inject(keys.poses("door"), b"\x82\xa4type\xa6future\xa1v\x63")
    await feed(bus, [*SCENE[30:], END])
    await run_until_ended(settings, bus)
    assert await event_ids(settings) == EXPECTED


async def test_zones_drawn_while_people_are_there_are_in_force_at_once(
    settings: Settings, store: Store
) -> None:
    bus = MemoryBus()
    middle = len(SCENE) // 2
    whole = {"points": [[0, 0], [1, 0], [1, 1], [0, 1]]}

    async def committed(seq: int) -> None:
        for _ in range(1000):
            progress = await bus.get(keys.progress("door"))
            if isinstance(progress, Progress) and progress.seq >= seq:
                return
            await asyncio.sleep(0.01)
        pytest.fail("not committed within 10 s")

    service = asyncio.create_task(run(settings, bus))
    try:
        await feed(bus, SCENE[:middle])
        await committed(middle - 1)
        drawn = Areas.model_validate({"zones": {"hall": whole}}).model_dump_json()
        await fetch(settings, f"INSERT INTO areas VALUES ('door', 1, '{drawn}')")
        await asyncio.sleep(0.7)
        await feed(bus, [*SCENE[middle:], END])
        await committed(len(SCENE) - 1)
        for _ in range(200):
            if (await bus.get(keys.progress("door"))).ended:  # type: ignore[union-attr]
                break
            await asyncio.sleep(0.01)
    finally:
        service.cancel()
        await asyncio.gather(service, return_exceptions=True)
    events = await fetch(settings, "SELECT kind, zone, seconds, seq FROM event ORDER BY ord")
    kinds = [(e["kind"], e["zone"]) for e in events]
    assert kinds.count(("zone_entered", "hall")) == kinds.count(("zone_exited", "hall")) == 2
    assert all(e["seq"] >= middle for e in events if e["zone"])
    assert all((e["seconds"] is not None) == e["kind"].endswith("exited") for e in events)


async def test_areas_of_a_newer_program_are_an_error(settings: Settings, store: Store) -> None:
    assert (await store.areas("door")).areas is None
    await fetch(settings, """INSERT INTO areas VALUES ('door', 1, '{"spheres": {}}')""")
    with pytest.raises(StoreError, match="areas of camera door cannot be read"):
        await store.areas("door")
