"""Brings the database to the schema of this program.

    one connection holds the lock, in a transaction that does nothing else
    another one applies what is missing, step by step, and notes each step with it

Steps have no time limit, for building an index takes as long as it takes. But a step that cannot
get its lock on a table within ``_LOCK_S`` gives up and is tried again later, because everybody else
who wants that table queues up behind it. Files called ``*.concurrently.sql`` run statement by
statement outside of transactions, as CREATE INDEX CONCURRENTLY has to; each must bear being run
again.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from importlib import resources

import asyncpg
import structlog

from posewire.shared.database.connections import connect
from posewire.shared.errors import StoreError, StoreUnavailable
from posewire.shared.settings import DatabaseSettings

_log = structlog.get_logger(__name__)
_LOCK = 0x706F7365  # "pose": one migration at a time, whoever starts first
_LOCK_S = 3
_ASK_S = 0.2


@dataclass(frozen=True, slots=True)
class Schema:
    """Where a database's schema is, and where this program wants it."""

    version: int
    """0: there is none yet."""
    newest: int
    """The newest one that this program knows."""
    pending: tuple[str, ...]
    """Names of the migrations that are missing."""

    def require(self) -> None:
        """Raise StoreError where the database is of a newer program."""
        if self.version > self.newest:
            raise StoreError(
                f"the database has schema {self.version}, this program knows up to {self.newest}: "
                "update Posewire, or use another database"
            )


def migrations() -> list[tuple[int, str, str]]:
    """Return the migrations that come with this program: (version, name, SQL)."""
    folder = resources.files("posewire.shared.database.migrations")
    names = sorted(file.name for file in folder.iterdir() if file.name.endswith(".sql"))
    return [(int(name.split("_")[0]), name, (folder / name).read_text("utf-8")) for name in names]


async def inspect(settings: DatabaseSettings) -> Schema:
    """Return where the schema is; changes nothing. Raises StoreUnavailable, StoreError."""
    async with (
        connect(settings, "schema", statement_s=settings.timeout_s) as connection,
        connection.transaction(readonly=True),
    ):
        return await _schema(connection)


async def ensure(settings: DatabaseSettings) -> None:
    """Return once the schema is this program's: made where ``database.migrate`` is set.

    Raises StoreUnavailable where somebody else has to bring it up to date, and StoreError where it
    is of a newer program.
    """
    schema = await inspect(settings)
    schema.require()
    if not schema.pending:
        return
    if not settings.migrate:
        raise StoreUnavailable(
            f"the database has schema {schema.version}, this program needs {schema.newest}, and "
            "database.migrate is off: run 'posewire db upgrade'"
        )
    await migrate(settings)


async def migrate(settings: DatabaseSettings) -> int:
    """Apply what is missing; return the schema's version. Raises StoreUnavailable, StoreError."""
    async with (
        connect(settings, "migration-lock", statement_s=None) as lock,
        connect(settings, "migration", statement_s=None) as connection,
    ):
        await _hold(lock)
        async with connection.transaction(readonly=True):
            schema = await _schema(connection)
        schema.require()
        if schema.version == 0:
            await _may_create(connection)
        for version, name, sql in migrations():
            if version > schema.version:
                await _apply(connection, version, name, sql)
                _log.info("store.migrated", migration=name)
        return schema.newest


async def _hold(lock: asyncpg.Connection) -> None:
    """Wait for the lock, which the connection then holds to its end.

    By asking again and again: a statement that waits for it would have a snapshot, for which CREATE
    INDEX CONCURRENTLY of the one who holds it waits in turn.
    """
    while True:
        transaction = lock.transaction()
        await transaction.start()
        if await lock.fetchval("SELECT pg_try_advisory_xact_lock($1)", _LOCK):
            await lock.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            return
        await transaction.rollback()
        await asyncio.sleep(_ASK_S)


async def _schema(connection: asyncpg.Connection) -> Schema:
    known = migrations()
    done = 0
    if await connection.fetchval("SELECT to_regclass('schema_migration') IS NOT NULL"):
        done = await connection.fetchval("SELECT coalesce(max(version), 0) FROM schema_migration")
    pending = tuple(name for version, name, _sql in known if version > done)
    return Schema(done, known[-1][0], pending)


async def _apply(connection: asyncpg.Connection, version: int, name: str, sql: str) -> None:
    note = f"INSERT INTO schema_migration VALUES ({version})"  # noqa: S608 -- a number of ours
    if name.endswith(".concurrently.sql"):
        for statement in filter(str.strip, sql.split(";")):
            await connection.execute(statement)
        await connection.execute(note)
        return
    async with connection.transaction():
        await connection.execute(
            f"SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '{_LOCK_S}s'"
        )
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_migration "
            "(version integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        await connection.execute(sql)
        await connection.execute(note)


async def _may_create(connection: asyncpg.Connection) -> None:
    """Raise StoreUnavailable with the GRANT that is missing, where one is."""
    async with connection.transaction(readonly=True):
        row = await connection.fetchrow(
            "SELECT current_user AS role, current_database() AS database,"
            " current_schema() AS schema,"
            " coalesce(has_schema_privilege(current_schema(), 'CREATE'), false) AS tables,"
            " CASE WHEN to_regnamespace('report') IS NULL"
            "  THEN has_database_privilege(current_database(), 'CREATE')"
            "  ELSE has_schema_privilege('report', 'CREATE') END AS report"
        )
    assert row is not None
    role, database = row["role"], row["database"]
    missing = []
    if row["schema"] is None:
        missing.append(f'CREATE SCHEMA "{role}" AUTHORIZATION "{role}"')
    elif not row["tables"]:
        missing.append(f'GRANT CREATE ON SCHEMA "{row["schema"]}" TO "{role}"')
    if not row["report"]:
        missing.append(f'CREATE SCHEMA report AUTHORIZATION "{role}"')
    if missing:
        raise StoreUnavailable(
            f"the user {role} may not make Posewire's tables in the database {database}; let an "
            f"administrator run there: {'; '.join(missing)}"
        )
