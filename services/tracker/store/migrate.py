"""Brings the database to the schema of this program; runs by itself whenever a tracker starts."""

from __future__ import annotations

from importlib import resources

import asyncpg
import structlog

from posewire.shared.errors import StoreError

_log = structlog.get_logger(__name__)
_LOCK = 0x706F7365  # "pose": one migration at a time, whoever starts first


def migrations() -> list[tuple[int, str, str]]:
    """Return the migrations that come with this program: (version, name, SQL)."""
    files = resources.files("posewire.tracker.store.migrations").iterdir()
    names = sorted(file.name for file in files if file.name.endswith(".sql"))
    folder = resources.files("posewire.tracker.store.migrations")
    return [(int(name.split("_")[0]), name, (folder / name).read_text("utf-8")) for name in names]


async def migrate(connection: asyncpg.Connection) -> int:
    """Apply what is missing, all or nothing, and return the schema's version.

    Raises StoreError where the database is of a newer program.
    """
    known = migrations()
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_migration "
            "(version integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        done = await connection.fetchval("SELECT coalesce(max(version), 0) FROM schema_migration")
        newest = known[-1][0]
        if done > newest:
            raise StoreError(
                f"the database has schema {done}, this program knows up to {newest}: "
                "update Posewire, or use another database"
            )
        for version, name, sql in known:
            if version > done:
                await connection.execute(sql)
                await connection.execute("INSERT INTO schema_migration VALUES ($1)", version)
                _log.info("store.migrated", migration=name)
    return newest
