"""The durable path beside the live one: viewers do not wait for the disk, nothing is lost by it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest

from posewire.launcher.embedded import EmbeddedPostgres
from posewire.shared.bus import keys
from posewire.shared.database import migrate
from posewire.shared.messages import PoseResult, SessionEnd, TrackUpdate
from posewire.shared.settings import Settings
from posewire.tracker.service import run
from tests.memory_bus import MemoryBus
from tests.unit.tracker.scenes import end_of, events_of, results, walk


def live(result: PoseResult) -> PoseResult:
    frame = msgspec.structs.replace(result.frame, policy="live")
    return msgspec.structs.replace(result, frame=frame)


LOSSLESS = results([walk(1, -0.1, 1.1), walk(3, 1.1, -0.1, top=0.45)], 11)
SCENE = [live(result) for result in LOSSLESS]
END = end_of(SCENE)
EXPECTED = [event.id for event in events_of(LOSSLESS)]
EMPTY = [live(result) for result in results([], 11)]


def settings_for(url: str, *, every_s: float = 0.05) -> Settings:
    return Settings.model_validate(
        {
            "database": {"url": url, "timeout_s": 1},
            "cameras": {"door": {"source": "demo"}},
            "tracker": {"commit_every_s": every_s},
        }
    )


@pytest.fixture
async def own_postgres(tmp_path: Path) -> AsyncIterator[EmbeddedPostgres]:
    """A server of this test's own: it is stopped in the middle."""
    server = EmbeddedPostgres(tmp_path / "postgres")
    await server.start()
    yield server
    await server.stop()


@contextlib.asynccontextmanager
async def tracking(settings: Settings, bus: MemoryBus) -> AsyncIterator[None]:
    service = asyncio.create_task(run(settings, bus))
    try:
        yield
        assert not service.done(), service
    finally:
        service.cancel()
        await asyncio.gather(service, return_exceptions=True)


async def feed(bus: MemoryBus, messages: list[Any]) -> None:
    for message in messages:
        await bus.publish(keys.poses("door"), message, maxlen=1000)


async def tracks(bus: MemoryBus) -> list[TrackUpdate | SessionEnd]:
    found = await bus.reader(keys.tracks("door")).read(count=2000, block_s=0.01)
    return [entry.message for entry in found]  # type: ignore[misc]


async def frames(bus: MemoryBus) -> list[int]:
    return [update.frame.seq for update in await tracks(bus) if isinstance(update, TrackUpdate)]


async def ask(url: str, sql: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(url)
    try:
        return list(await connection.fetch(sql))
    finally:
        await connection.close()


async def event_ids(url: str) -> list[str]:
    return [str(row["id"]) for row in await ask(url, "SELECT id FROM event ORDER BY ord")]


async def until(condition: Callable[[], Any], what: str, seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not await condition():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds} s: {what}")
        await asyncio.sleep(0.02)


async def test_viewers_do_not_wait_for_a_commit(postgres_url: str) -> None:
    bus = MemoryBus()
    async with tracking(settings_for(postgres_url), bus):
        await feed(bus, SCENE[:20])

        async def committed() -> bool:
            return bool(await bus.get(keys.progress("door")))

        await until(committed, "a first commit")
        # Somebody holds the row that every commit changes.
        connection = await asyncpg.connect(postgres_url)
        holding = connection.transaction()
        await holding.start()
        await connection.execute("SELECT FROM checkpoint FOR UPDATE")
        started = time.monotonic()
        await feed(bus, SCENE[20:60])

        async def seen() -> bool:
            return await frames(bus) == list(range(60))

        await until(seen, "all updates", 2)
        assert time.monotonic() - started < 1
        await holding.rollback()
        await connection.close()
        await feed(bus, [*SCENE[60:], END])

        async def all_there() -> bool:
            return await event_ids(postgres_url) == EXPECTED

        await until(all_there, "all rows")


async def test_a_camera_is_followed_while_the_database_is_away(
    own_postgres: EmbeddedPostgres,
) -> None:
    bus, url = MemoryBus(), own_postgres.url
    async with tracking(settings_for(url), bus):
        await feed(bus, SCENE[:15])

        async def committed() -> bool:
            return bool(await bus.get(keys.progress("door")))

        await until(committed, "a first commit")
        await own_postgres.stop()
        await feed(bus, [*SCENE[15:], END])

        async def ended() -> bool:
            return isinstance((await tracks(bus))[-1], SessionEnd)

        await until(ended, "all updates without a database", 3)
        assert await frames(bus) == list(range(len(SCENE)))
        await own_postgres.start()

        async def all_there() -> bool:
            return await event_ids(url) == EXPECTED

        await until(all_there, "all rows")
    (session,) = await ask(url, "SELECT ended_at FROM session")
    assert session["ended_at"] is not None


async def test_a_commit_of_which_nobody_knows_is_not_made_twice(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from posewire.shared.errors import StoreUnavailable
    from posewire.tracker.store import Store

    original, failed = Store.commit, []

    async def cut_off(self: Store, *arguments: Any, **options: Any) -> None:
        await original(self, *arguments, **options)
        if len(failed) < 3:
            failed.append(arguments)
            raise StoreUnavailable("the answer never came")

    monkeypatch.setattr(Store, "commit", cut_off)
    bus = MemoryBus()
    async with tracking(settings_for(postgres_url), bus):
        await feed(bus, [*SCENE, END])

        async def all_there() -> bool:
            progress = await bus.get(keys.progress("door"))
            return progress is not None and progress.ended  # type: ignore[union-attr]

        await until(all_there, "the end's commit")
    assert len(failed) == 3
    assert await event_ids(postgres_url) == EXPECTED


async def test_the_state_alone_is_committed_now_and_then_and_does_not_wait(
    postgres_url: str,
) -> None:
    bus, settings = MemoryBus(), settings_for(postgres_url, every_s=0.5)
    await migrate(settings.database)
    async with tracking(settings, bus):
        connection = await asyncpg.connect(postgres_url)
        await connection.execute(
            "CREATE TABLE seen (how text);"
            "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " INSERT INTO seen VALUES (current_setting('synchronous_commit')); RETURN NEW; END $$;"
            "CREATE TRIGGER note AFTER INSERT OR UPDATE ON checkpoint"
            " FOR EACH ROW EXECUTE FUNCTION note()"
        )
        started = time.monotonic()
        for result in EMPTY[:40]:
            await feed(bus, [result])
            await asyncio.sleep(0.04)
        await asyncio.sleep(0.6)
        seconds = time.monotonic() - started
        hows = [row["how"] for row in await connection.fetch("SELECT how FROM seen")]
        await connection.close()
    # The first one has the session's row.
    assert hows[0] == "on"
    assert 3 <= len(hows) <= 2 + seconds / 0.5
    assert set(hows[1:]) == {"off"}


async def test_commits_that_a_crash_took_back_are_made_again(postgres_url: str) -> None:
    bus, settings = MemoryBus(), settings_for(postgres_url)
    await migrate(settings.database)
    async with tracking(settings, bus):
        await feed(bus, SCENE[:25])

        async def at(seq: int) -> bool:
            rows = await ask(postgres_url, f"SELECT FROM checkpoint WHERE seq = {seq}")
            return bool(rows)

        await until(lambda: at(24), "a commit")
        connection = await asyncpg.connect(postgres_url)
        await connection.execute("CREATE TABLE before AS SELECT * FROM checkpoint")
        await feed(bus, SCENE[25:30])
        await until(lambda: at(29), "a commit")
        await connection.execute("DELETE FROM checkpoint")
        await connection.execute("INSERT INTO checkpoint SELECT * FROM before")
        await connection.close()
        await feed(bus, [*SCENE[30:], END])

        async def all_there() -> bool:
            return await event_ids(postgres_url) == EXPECTED

        await until(all_there, "all rows")
        # Frames were followed twice, but told once.
        assert await frames(bus) == list(range(len(SCENE)))


async def test_checkpoints_touch_no_index_and_no_other_table(postgres_url: str) -> None:
    bus = MemoryBus()
    async with tracking(settings_for(postgres_url, every_s=0.01), bus):
        for result in SCENE:
            await feed(bus, [result])
            await asyncio.sleep(0.02)

        async def done() -> bool:
            last = f"SELECT FROM checkpoint WHERE seq = {len(SCENE) - 1}"
            return bool(await ask(postgres_url, last))

        await until(done, "the last commit")
    await asyncio.sleep(1.1)  # statistics are told once a second
    (row,) = await ask(
        postgres_url,
        "SELECT n_tup_upd, n_tup_hot_upd, pg_relation_size(c.reltoastrelid) AS aside"
        " FROM pg_stat_user_tables JOIN pg_class AS c ON c.oid = relid"
        " WHERE c.relname = 'checkpoint'",
    )
    assert row["n_tup_upd"] > 30
    assert row["n_tup_hot_upd"] == row["n_tup_upd"]
    assert row["aside"] == 0
