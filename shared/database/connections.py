"""Connections as every part of Posewire makes them, so that all work through PgBouncer too.

A pooler in transaction mode gives each transaction another connection of the server's. So every use
is one transaction, and no statement is prepared for longer than that; session state (SET, session
locks, LISTEN) is not used. Without a pooler that costs two more round trips.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import asyncpg

from posewire.shared.database.errors import ERRORS, translated
from posewire.shared.errors import StoreError
from posewire.shared.settings import DatabaseSettings


@contextlib.asynccontextmanager
async def connect(
    settings: DatabaseSettings, application: str, *, statement_s: float | None
) -> AsyncIterator[asyncpg.Connection]:
    """Yield a connection of the caller's own; it is gone after the body.

    ``statement_s``: longest wait for one statement; None waits for ever.

    Raises StoreUnavailable, StoreRefused, StoreError, for what goes wrong in the body as well.
    """
    url = address(settings)
    with translated(url):
        connection = await asyncpg.connect(
            url,
            timeout=settings.timeout_s,
            command_timeout=statement_s,
            statement_cache_size=0,
            server_settings={"application_name": f"posewire-{application}"},
        )
        try:
            yield connection
        finally:
            connection.terminate()


class Pool:
    """A lazy pool; it lives without the server and finds it again."""

    def __init__(
        self,
        settings: DatabaseSettings,
        application: str,
        prepare: Callable[[], Awaitable[object]] | None = None,
    ) -> None:
        """``prepare`` is called before the first use, again until it returns."""
        self._settings, self._application = settings, application
        self._prepare = prepare
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._opening = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[asyncpg.Connection]:
        """Yield a connection in a transaction, which is committed after the body.

        Raises StoreUnavailable, StoreRefused, StoreError, for what goes wrong in the body as well.
        Where the connection breaks it is unknown whether the transaction took place.
        """
        with translated(address(self._settings)):
            pool = await self._opened()
            async with (
                pool.acquire(timeout=self._settings.timeout_s) as connection,
                connection.transaction(),
            ):
                yield connection  # type: ignore[misc]  # a proxy of the connection

    async def close(self) -> None:
        """Close all connections, without waiting for statements."""
        if self._pool is not None:
            with contextlib.suppress(*ERRORS):
                self._pool.terminate()
            self._pool = None

    async def _opened(self) -> asyncpg.Pool[asyncpg.Record]:
        async with self._opening:
            if self._pool is None:
                if self._prepare is not None:
                    await self._prepare()
                # min_size 0: nothing is connected here, so this works while the server is away.
                self._pool = await asyncpg.create_pool(
                    address(self._settings),
                    min_size=0,
                    max_size=self._settings.pool_size,
                    timeout=self._settings.timeout_s,
                    command_timeout=self._settings.timeout_s,
                    statement_cache_size=0,
                    server_settings={"application_name": f"posewire-{self._application}"},
                )
            return self._pool


def address(settings: DatabaseSettings) -> str:
    """Return the database's URL. Raises StoreError where none is set."""
    if settings.url is None:
        raise StoreError("database.url is not set: this needs a Postgres")
    return settings.url
