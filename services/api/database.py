"""A lazy pool of Postgres connections; the gateway lives without Postgres and finds it again."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import asyncpg

from posewire.shared.errors import StoreUnavailable
from posewire.shared.redact import redact
from posewire.shared.settings import DatabaseSettings

_AWAY = (
    OSError,
    asyncio.TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,  # starting up, shutting down, query cancelled
    asyncpg.InsufficientResourcesError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,  # the database is not there yet
)
_NO_SCHEMA = (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError)


class Database:
    """Runs statements that may be repeated, connecting when the first one comes."""

    def __init__(self, settings: DatabaseSettings) -> None:
        self._settings = settings
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._opening = asyncio.Lock()

    async def fetch(self, sql: str, *values: Any) -> list[asyncpg.Record]:
        """Return all rows. Raises StoreUnavailable where there is no database or no schema yet."""
        try:
            return await self._fetch(sql, values)
        except (asyncpg.PostgresConnectionError, asyncpg.InterfaceError, ConnectionError):
            pass  # the pool held a connection to a server that has restarted: once more
        except _NO_SCHEMA + _AWAY as error:
            raise self._unavailable(error) from error
        try:
            return await self._fetch(sql, values)
        except _NO_SCHEMA + _AWAY as error:
            raise self._unavailable(error) from error

    async def fetchval(self, sql: str, *values: Any) -> Any:
        """Return the first column of the first row, None where there is none."""
        rows = await self.fetch(sql, *values)
        return rows[0][0] if rows else None

    async def close(self) -> None:
        """Close all connections, without waiting for statements."""
        if self._pool is not None:
            with contextlib.suppress(*_AWAY):
                self._pool.terminate()
            self._pool = None

    async def _fetch(self, sql: str, values: tuple[Any, ...]) -> list[asyncpg.Record]:
        pool = await self._opened()
        async with pool.acquire(timeout=self._settings.timeout_s) as connection:
            return await connection.fetch(sql, *values)

    async def _opened(self) -> asyncpg.Pool[asyncpg.Record]:
        if self._settings.url is None:
            raise StoreUnavailable("no database is configured: set database.url")
        async with self._opening:
            if self._pool is None:
                # min_size 0: nothing is connected here, so this works while Postgres is down.
                self._pool = await asyncpg.create_pool(
                    self._settings.url,
                    min_size=0,
                    max_size=self._settings.pool_size,
                    timeout=self._settings.timeout_s,
                    command_timeout=self._settings.timeout_s,
                    server_settings={"application_name": "posewire-api"},
                )
            return self._pool

    def _unavailable(self, error: BaseException) -> StoreUnavailable:
        if isinstance(error, _NO_SCHEMA):
            return StoreUnavailable(
                f"the database has no schema yet ({error}); the tracker makes it when it starts"
            )
        what = str(error) or type(error).__name__
        return StoreUnavailable(
            f"the database does not answer: {redact(what)}; is PostgreSQL running where "
            "database.url points?"
        )
