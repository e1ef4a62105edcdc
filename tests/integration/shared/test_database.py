"""The schema, the way to the database and what its errors mean, on a real Postgres."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from posewire.api import queries
from posewire.api.database import Database
from posewire.launcher.embedded import EmbeddedPostgres
from posewire.shared.database import Pool, Schema, ensure, inspect, migrate
from posewire.shared.errors import StoreError, StoreRefused, StoreUnavailable
from posewire.shared.settings import DatabaseSettings
from posewire.tracker.store import Store

NEWEST = 7


def settings_for(url: str, **changes: object) -> DatabaseSettings:
    return DatabaseSettings.model_validate({"url": url} | changes)


async def ask(url: str, *statements: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(url)
    try:
        for statement in statements[:-1]:
            await connection.execute(statement)
        return list(await connection.fetch(statements[-1]))
    finally:
        await connection.close()


async def tables(url: str) -> set[str]:
    rows = await ask(url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    return {row["tablename"] for row in rows}


def with_step(monkeypatch: pytest.MonkeyPatch, name: str, sql: str) -> None:
    """Let this program know one migration more."""
    steps = sys.modules[migrate.__module__]  # the module that has the function's name
    known = steps.migrations()
    monkeypatch.setattr(steps, "migrations", lambda: [*known, (NEWEST + 1, name, sql)])


async def test_looking_changes_nothing(postgres_url: str) -> None:
    settings = settings_for(postgres_url)
    schema = await inspect(settings)
    assert (schema.version, schema.newest, len(schema.pending)) == (0, NEWEST, NEWEST)
    assert await tables(postgres_url) == set()
    assert await migrate(settings) == NEWEST
    assert await inspect(settings) == Schema(NEWEST, NEWEST, ())


async def test_many_may_start_at_once(postgres_url: str) -> None:
    stores = [Store(settings_for(postgres_url)) for _ in range(5)]
    await asyncio.wait_for(asyncio.gather(*(store.open() for store in stores)), 60)
    await asyncio.gather(*(store.close() for store in stores))
    assert "checkpoint" in await tables(postgres_url)


async def test_a_step_may_take_longer_than_a_statement(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_step(monkeypatch, "0008_slow.sql", "SELECT pg_sleep(1.5)")
    store = Store(settings_for(postgres_url, timeout_s=0.5))
    await store.open()
    await store.close()
    assert (await inspect(settings_for(postgres_url))).version == NEWEST + 1


async def test_a_step_that_waits_for_readers_lets_others_through(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_for(postgres_url)
    await migrate(settings)
    with_step(monkeypatch, "0008_column.sql", "ALTER TABLE event ADD COLUMN probe integer")
    reader = await asyncpg.connect(postgres_url)
    reading = reader.transaction()
    await reading.start()
    await reader.fetch("SELECT count(*) FROM event")
    started = time.monotonic()
    with pytest.raises(StoreUnavailable, match="lock timeout"):
        await migrate(settings)
    assert time.monotonic() - started < 10
    await reading.rollback()
    await reader.close()
    assert await migrate(settings) == NEWEST + 1


async def test_an_index_that_was_broken_off_is_made_anew(postgres_url: str) -> None:
    settings = settings_for(postgres_url)
    await migrate(settings)
    this = "WHERE indexrelid = 'outbox_by_event'::regclass"
    invalid = f"UPDATE pg_index SET indisvalid = false {this}"
    valid = f"SELECT indisvalid FROM pg_index {this}"
    (row,) = await ask(
        postgres_url, invalid, "DELETE FROM schema_migration WHERE version = 7", valid
    )
    assert not row["indisvalid"]
    await migrate(settings)
    (row,) = await ask(postgres_url, valid)
    assert row["indisvalid"]


async def test_services_wait_for_a_schema_that_others_make(postgres_url: str) -> None:
    settings = settings_for(postgres_url, migrate=False)
    store, gateway = Store(settings), Database(settings)
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match=r"needs 7.*'posewire db upgrade'"):
            await store.checkpoint("door")
        with pytest.raises(StoreUnavailable, match=r"no schema yet.*'posewire db upgrade'"):
            await gateway.fetch("SELECT FROM event")
    assert await tables(postgres_url) == set()
    await migrate(settings)
    assert await store.checkpoint("door") is None
    assert await gateway.fetch("SELECT FROM event") == []
    await store.close()
    await gateway.close()


async def test_a_newer_schema_is_left_alone(postgres_url: str) -> None:
    settings = settings_for(postgres_url)
    await migrate(settings)
    await ask(postgres_url, "INSERT INTO schema_migration VALUES (99)", "SELECT 1")
    for bring in (ensure, migrate):
        with pytest.raises(StoreError, match="schema 99, this program knows up to 7"):
            await bring(settings)


async def test_a_user_without_rights_is_told_which(postgres_url: str) -> None:
    role = urlsplit(postgres_url).path[1:] + "_user"
    await ask(postgres_url, f"CREATE ROLE {role} LOGIN", "SELECT 1")
    settings = settings_for(postgres_url.replace("posewire@", f"{role}@"))
    with pytest.raises(StoreUnavailable) as error:
        await migrate(settings)
    advice = str(error.value)
    assert f'GRANT CREATE ON SCHEMA "public" TO "{role}"' in advice
    assert f'CREATE SCHEMA report AUTHORIZATION "{role}"' in advice
    # A schema of the user's own name is where Postgres looks first.
    await ask(
        postgres_url,
        f'CREATE SCHEMA "{role}" AUTHORIZATION "{role}"',
        f'CREATE SCHEMA report AUTHORIZATION "{role}"',
        "SELECT 1",
    )
    await migrate(settings)
    assert await tables(postgres_url) == set()
    store = Store(settings)
    assert await store.checkpoint("door") is None
    await store.close()


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[str]:
    """URL of a server that asks the user kim for a password, which is wrong."""
    server = EmbeddedPostgres(tmp_path / "postgres")
    await server.start()
    await ask(server.url, "CREATE ROLE kim LOGIN PASSWORD 'right'", "SELECT 1")
    rules = server.data / "pg" / "pg_hba.conf"
    rules.write_text("local all kim scram-sha-256\n" + rules.read_text())
    await ask(server.url, "SELECT pg_reload_conf()", "SELECT pg_sleep(0.3)")
    yield server.url.replace("posewire@", "kim:secret-and-wrong@")
    await server.stop()


async def test_a_wrong_password_means_the_same_for_all(guarded: str) -> None:
    settings = settings_for(guarded)
    store, gateway = Store(settings), Database(settings)
    for asked in (store.checkpoint("door"), gateway.fetch("SELECT 1"), inspect(settings)):
        with pytest.raises(StoreUnavailable, match=r"password.*database\.password_file") as error:
            await asked
        assert "secret" not in str(error.value)
    await store.close()
    await gateway.close()


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("08006", StoreUnavailable), ("25006", StoreUnavailable), ("28P01", StoreUnavailable),
        ("3D000", StoreUnavailable), ("40001", StoreUnavailable), ("40P01", StoreUnavailable),
        ("42501", StoreUnavailable), ("42P01", StoreUnavailable), ("53100", StoreUnavailable),
        ("53300", StoreUnavailable), ("55P03", StoreUnavailable), ("57014", StoreUnavailable),
        ("57P01", StoreUnavailable), ("58030", StoreUnavailable),
        ("22003", StoreRefused), ("22021", StoreRefused), ("23503", StoreRefused),
        ("23514", StoreRefused),
        ("42601", StoreError), ("42883", StoreError), ("XX000", StoreError), ("0A000", StoreError),
    ],
)  # fmt: skip
async def test_what_an_error_means(
    postgres_url: str, state: str, expected: type[Exception]
) -> None:
    pool = Pool(settings_for(postgres_url), "test")
    raising = f"DO $$ BEGIN RAISE EXCEPTION 'so it is' USING ERRCODE = '{state}'; END $$"
    with pytest.raises((StoreError, StoreUnavailable), match="so it is") as error:
        async with pool.transaction() as connection:
            await connection.execute(raising)
    assert type(error.value) is expected
    async with pool.transaction() as connection:
        assert await connection.fetchval("SELECT 1") == 1
    await pool.close()


@pytest.mark.parametrize("value", [2**40, "ten"])
async def test_values_that_no_column_takes_are_refused(postgres_url: str, value: object) -> None:
    gateway = Database(settings_for(postgres_url))
    with pytest.raises(StoreRefused, match="refuses"):
        await gateway.fetch("SELECT $1::int", value)
    await gateway.close()


class Cutting:
    """Passes a connection on, and cuts it before the answer to the COMMIT after ``word``."""

    def __init__(self, socket: str, word: bytes) -> None:
        self._socket, self._word = socket, word
        self.cut = 0
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> int:
        self._server = await asyncio.start_server(self._pass_on, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def __aexit__(self, *_error: object) -> None:
        assert self._server is not None
        self._server.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, forth = await asyncio.open_unix_connection(self._socket)
        seen, armed = b"", False
        answers = asyncio.create_task(self._copy(back, writer))
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                seen = (seen + data)[-65536:]
                armed = armed or self._word in seen
                forth.write(data)
                await forth.drain()
                if armed and b"COMMIT" in data:
                    await asyncio.sleep(0.3)  # the server commits
                    self.cut += 1
                    break
        answers.cancel()
        writer.transport.abort()
        forth.close()

    @staticmethod
    async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if b"COMMIT" in data:
                    return
                writer.write(data)
                await writer.drain()


async def test_a_change_is_not_repeated_where_it_may_have_taken_place(
    postgres: EmbeddedPostgres, postgres_url: str
) -> None:
    await migrate(settings_for(postgres_url))
    direct = Database(settings_for(postgres_url))
    name = urlsplit(postgres_url).path
    relay = Cutting(str(postgres.sockets / ".s.PGSQL.5432"), b"INSERT INTO areas")
    async with relay as port:
        url = f"postgresql://posewire@127.0.0.1:{port}{name}?sslmode=disable"
        gateway = Database(settings_for(url))
        with pytest.raises(StoreUnavailable, match="does not answer"):
            await queries.put_areas(gateway, "door", "{}", 0)
        assert relay.cut == 1
        stored = await queries.areas(direct, "door")
        assert stored is not None
        assert stored["version"] == 1
        await gateway.close()
    await direct.close()
