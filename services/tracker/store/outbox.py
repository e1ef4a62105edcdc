"""Events on their way to others: a queue in Postgres, one for each destination.

    tracker ── event and outbox row in one transaction ──▶ Postgres
    deliverer ── oldest rows of a destination ──▶ told ── acknowledged ──▶ row deleted

A row is deleted after the acknowledgement. Whoever dies in between tells that event once more, with
the same id.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from posewire.shared.errors import StoreUnavailable
from posewire.shared.redact import redact
from posewire.shared.settings import DatabaseSettings
from posewire.tracker.store.migrate import migrate

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

    def __init__(self, connection: asyncpg.Connection, destination: str) -> None:
        self._connection, self._destination = connection, destination

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, settings: DatabaseSettings, destination: str) -> AsyncIterator[Outbox]:
        """Connect; the body may raise what it likes. Raises StoreUnavailable, in the body too."""
        assert settings.url is not None
        try:
            connection = await asyncpg.connect(
                settings.url, timeout=settings.timeout_s, command_timeout=settings.timeout_s
            )
            try:
                await migrate(connection)
                yield cls(connection, destination)
            finally:
                connection.terminate()
        except (
            OSError,
            asyncio.TimeoutError,
            asyncpg.PostgresError,
            asyncpg.InterfaceError,
        ) as error:
            raise StoreUnavailable(
                f"the database does not answer: {redact(str(error)) or type(error).__name__}"
            ) from error

    async def hold(self) -> bool:
        """Become the one who delivers, for as long as the connection lasts; False where not."""
        return bool(
            await self._connection.fetchval(
                "SELECT pg_try_advisory_lock(hashtextextended('posewire:' || $1, 0))",
                self._destination,
            )
        )

    async def next(self) -> Sequence[Delivery]:
        """Return the oldest undelivered events, oldest first."""
        rows = await self._connection.fetch(
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
        await self._connection.execute("DELETE FROM outbox WHERE ord = $1", delivery.ord)

    async def failed(self, delivery: Delivery) -> None:
        """Note that an event was refused."""
        await self._connection.execute(
            "UPDATE outbox SET attempts = attempts + 1 WHERE ord = $1", delivery.ord
        )

    async def waiting(self) -> int:
        """Return how many events wait."""
        return int(
            await self._connection.fetchval(
                "SELECT count(*) FROM outbox WHERE destination = $1", self._destination
            )
        )

    async def give_up(self, days: float) -> int:
        """Delete what has waited for longer than ``days``; return how many."""
        done = await self._connection.execute(
            "DELETE FROM outbox WHERE destination = $1 "
            "AND made_at < now() - make_interval(secs => $2)",
            self._destination,
            days * 86400,
        )
        return int(done.split()[-1])

    async def people(self, cameras: Sequence[str]) -> dict[str, int]:
        """Return how many people each camera saw after its newest event; 0 before any."""
        rows = await self._connection.fetch(
            "SELECT name, coalesce((SELECT people FROM event WHERE event.camera = name "
            "ORDER BY ord DESC LIMIT 1), 0) AS people FROM unnest($1::text[]) AS name",
            list(cameras),
        )
        return {row["name"]: row["people"] for row in rows}


async def enqueue(
    connection: asyncpg.Connection, pairs: Sequence[tuple[str, str]], known: set[str]
) -> None:
    """Queue (destination, event id) pairs, but not of events that are ``known`` from before."""
    await connection.executemany(
        "INSERT INTO outbox (destination, event) VALUES ($1, $2) "
        "ON CONFLICT (destination, event) DO NOTHING",
        [pair for pair in pairs if pair[1] not in known],
    )
