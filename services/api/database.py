"""The gateway's way to the database; it lives without Postgres and finds it again."""

from __future__ import annotations

from typing import Any

import asyncpg

from posewire.shared.database import Pool
from posewire.shared.errors import StoreUnavailable
from posewire.shared.settings import DatabaseSettings

_BROKEN = (asyncpg.PostgresConnectionError, asyncpg.InterfaceError, ConnectionError)


class Database:
    """Asks and changes, each in a transaction of its own, connecting when the first one comes."""

    def __init__(self, settings: DatabaseSettings) -> None:
        self._configured = settings.url is not None
        self._pool = Pool(settings, "api")

    async def fetch(self, sql: str, *values: Any) -> list[asyncpg.Record]:
        """Return all rows of a question, which must change nothing: it may be asked twice.

        Raises StoreUnavailable where there is no database or no schema yet, and StoreRefused where
        it does not take the values.
        """
        try:
            return await self.change(sql, *values)
        except StoreUnavailable as error:
            if not isinstance(error.__cause__, _BROKEN):
                raise
        # The pool held a connection to a server that has restarted.
        return await self.change(sql, *values)

    async def fetchval(self, sql: str, *values: Any) -> Any:
        """Return the first column of the first row, None where there is none."""
        rows = await self.fetch(sql, *values)
        return rows[0][0] if rows else None

    async def change(self, sql: str, *values: Any) -> list[asyncpg.Record]:
        """Run a statement once and return its rows. Raises as ``fetch``.

        Where the connection breaks it is unknown whether the change took place; nobody but the
        caller can know whether it may be made again.
        """
        if not self._configured:
            raise StoreUnavailable("no database is configured: set database.url")
        async with self._pool.transaction() as connection:
            return list(await connection.fetch(sql, *values))

    async def close(self) -> None:
        """Close all connections, without waiting for statements."""
        await self._pool.close()
