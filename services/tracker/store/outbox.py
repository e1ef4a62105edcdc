"""Events on their way to others: a queue in Postgres, one for each destination.

    tracker ── event and outbox row in one transaction ──▶ Postgres
    deliverer ── oldest rows of a destination ──▶ told ── acknowledged ──▶ row deleted

A row is deleted after the acknowledgement. Whoever dies in between tells that event once more, with
the same id.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from posewire.shared.database import connect, ensure
from posewire.shared.errors import StoreUnavailable
from posewire.shared.settings import DatabaseSettings

_BATCH = 32


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event that is to be told, and how often that was tried."""

    ord: int
    attempts: int
    id: str
    camera: str
    source: str
    session: str
    visit: str
    kind: str
    reason: str | None
    people: int
    zone: str | None
    direction: str | None
    seconds: float | None
    occurred_at: datetime
    confirmed_at: datetime


class Outbox:
    """One destination's queue, over a connection of its own: tracking never waits for it."""

    def __init__(
        self, connection: asyncpg.Connection, lock: asyncpg.Connection, destination: str
    ) -> None:
        self._connection, self._lock, self._destination = connection, lock, destination

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, settings: DatabaseSettings, destination: str) -> AsyncIterator[Outbox]:
        """Connect; the body may raise what it likes. Raises StoreUnavailable, in the body too."""
        await ensure(settings)
        async with (
            connect(settings, "outbox", statement_s=settings.timeout_s) as connection,
            connect(settings, "outbox-lock", statement_s=settings.timeout_s) as lock,
        ):
            yield cls(connection, lock, destination)

    async def hold(self) -> bool:
        """Become the one who delivers, for as long as the connection lasts; False where not.

        The lock is that of a transaction which does nothing else: unlike a session's lock it holds
        through a pooler.
        """
        transaction = self._lock.transaction()
        await transaction.start()
        held = await self._lock.fetchval(
            "SELECT pg_try_advisory_xact_lock(hashtextextended('posewire:' || $1, 0))",
            self._destination,
        )
        if held:
            await self._lock.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        else:
            await transaction.rollback()
        return bool(held)

    async def next(self) -> Sequence[Delivery]:
        """Return the oldest undelivered events, oldest first.

        Raises StoreUnavailable where the lock is lost, which another tracker may have by now.
        """
        if self._lock.is_closed():
            raise StoreUnavailable(f"the lock on the queue {self._destination} is lost")
        rows = await self._fetch(
            "SELECT outbox.ord, outbox.attempts, event.id::text, event.camera, session.source, "
            "event.session, event.visit::text, event.kind, event.reason, event.people, event.zone, "
            "event.direction, event.seconds, event.occurred_at, event.confirmed_at "
            "FROM outbox JOIN event ON event.id = outbox.event "
            "JOIN session ON session.id = event.session "
            "WHERE outbox.destination = $1 ORDER BY outbox.ord LIMIT $2",
            self._destination,
            _BATCH,
        )
        return [Delivery(**dict(row)) for row in rows]

    async def done(self, delivery: Delivery) -> None:
        """Note that an event was told, or given up."""
        await self._execute("DELETE FROM outbox WHERE ord = $1", delivery.ord)

    async def failed(self, delivery: Delivery) -> None:
        """Note that an event was refused."""
        await self._execute(
            "UPDATE outbox SET attempts = attempts + 1 WHERE ord = $1", delivery.ord
        )

    async def waiting(self) -> int:
        """Return how many events wait."""
        (row,) = await self._fetch(
            "SELECT count(*) AS waiting FROM outbox WHERE destination = $1", self._destination
        )
        return int(row["waiting"])

    async def give_up(self, days: float) -> int:
        """Delete what has waited for longer than ``days``; return how many."""
        done = await self._execute(
            "DELETE FROM outbox WHERE destination = $1 "
            "AND made_at < now() - make_interval(secs => $2)",
            self._destination,
            days * 86400,
        )
        return int(done.split()[-1])

    async def people(self, cameras: Sequence[str]) -> dict[str, int]:
        """Return how many people each camera saw after its newest event; 0 before any."""
        rows = await self._fetch(
            "SELECT name, coalesce((SELECT people FROM event WHERE event.camera = name "
            "ORDER BY ord DESC LIMIT 1), 0) AS people FROM unnest($1::text[]) AS name",
            list(cameras),
        )
        return {row["name"]: row["people"] for row in rows}

    async def _fetch(self, sql: str, *values: object) -> list[asyncpg.Record]:
        async with self._connection.transaction():
            return list(await self._connection.fetch(sql, *values))

    async def _execute(self, sql: str, *values: object) -> str:
        async with self._connection.transaction():
            return await self._connection.execute(sql, *values)


async def enqueue(
    connection: asyncpg.Connection, pairs: Sequence[tuple[str, str]], known: set[str]
) -> None:
    """Queue (destination, event id) pairs, but not of events that are ``known`` from before."""
    await connection.executemany(
        "INSERT INTO outbox (destination, event) VALUES ($1, $2) "
        "ON CONFLICT (destination, event) DO NOTHING",
        [pair for pair in pairs if pair[1] not in known],
    )
