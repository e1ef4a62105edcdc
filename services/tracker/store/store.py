"""Visits, events and the tracker's checkpoint in Postgres, committed together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime, timezone

import asyncpg
from pydantic import ValidationError

from posewire.shared.database import Pool, Verdict, ensure, verdict
from posewire.shared.database.errors import ERRORS
from posewire.shared.errors import LeaseLost, StoreError
from posewire.shared.messages import Event, FrameHeader, SessionEnd
from posewire.shared.settings import Areas, DatabaseSettings
from posewire.shared.worker import note_failure
from posewire.tracker.store.outbox import enqueue
from posewire.tracker.tracking import visit_id


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where a camera's tracker is: its state, and up to which entry and frame that goes."""

    camera: str
    session: str
    seq: int
    position: str
    state: bytes
    version: int
    ended: bool


@dataclass(frozen=True, slots=True)
class Drawn:
    """A camera's areas as drawn on the page; None where those of the configuration hold."""

    version: int
    areas: Areas | None


@dataclass(slots=True)
class Rows:
    """What a batch of frames adds."""

    sessions: list[FrameHeader] = field(default_factory=list)
    """The first frame of each session that began."""
    ends: list[SessionEnd] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def __add__(self, later: Rows) -> Rows:
        return Rows(
            self.sessions + later.sessions, self.ends + later.ends, self.events + later.events
        )

    def __bool__(self) -> bool:
        return bool(self.sessions or self.ends or self.events)

    def each(self) -> Iterator[Rows]:
        """Yield the rows one by one, in an order in which they may be stored."""
        yield from (Rows(sessions=[header]) for header in self.sessions)
        yield from (Rows(events=[event]) for event in self.events)
        yield from (Rows(ends=[end]) for end in self.ends)


class Store:
    """The tracker's side of the database. Reconnects by itself; callers retry StoreUnavailable."""

    def __init__(
        self, settings: DatabaseSettings, queues: Callable[[Event], Sequence[str]] | None = None
    ) -> None:
        """``queues``: names the outbox queues that an event belongs into; none by default."""
        self._pool = Pool(settings, "tracker", prepare=lambda: ensure(settings))
        self._queues = queues

    async def open(self) -> None:
        """Connect, and see to it that the schema is this program's, ahead of other calls.

        Raises StoreUnavailable, and StoreError where the database is of a newer program.
        """
        async with self.transaction():
            pass

    def transaction(self) -> AbstractAsyncContextManager[asyncpg.Connection]:
        """Return a transaction on one of the store's connections: see ``Pool.transaction``."""
        return self._pool.transaction()

    async def checkpoint(self, camera: str) -> Checkpoint | None:
        """Return the camera's checkpoint, None where there is none yet."""
        async with self.transaction() as connection:
            row = await connection.fetchrow(
                "SELECT camera, session, seq, position, state, version, ended "
                "FROM checkpoint WHERE camera = $1",
                camera,
            )
        return None if row is None else Checkpoint(**dict(row))

    async def areas(self, camera: str) -> Drawn:
        """Return the zones, lines and masks that were drawn for a camera.

        Raises StoreError where they are of a newer program.
        """
        async with self.transaction() as connection:
            row = await connection.fetchrow(
                "SELECT version, areas FROM areas WHERE camera = $1", camera
            )
        if row is None:
            return Drawn(0, None)
        try:
            areas = None if row["areas"] is None else Areas.model_validate_json(row["areas"])
        except ValidationError as error:
            raise StoreError(f"the areas of camera {camera} cannot be read: {error}") from None
        return Drawn(row["version"], areas)

    async def commit(self, rows: Rows, checkpoint: Checkpoint, *, on_disk: bool = True) -> None:
        """Store rows and checkpoint in one transaction.

        ``checkpoint.version`` is one more than that of the checkpoint this one follows. Rows that
        are there already stay as they are; a row that the database will never take is counted,
        logged and passed over, and the others are stored. ``on_disk``: return after the disk has
        it; otherwise a crash of the server may take the last commits back, up to the same moment
        for all cameras.

        Raises LeaseLost where another tracker has committed in between, StoreUnavailable where
        the database went away; then it is unknown whether the commit took place: read the
        checkpoint to find out.
        """
        async with self.transaction() as connection:
            if not on_disk:
                await connection.execute("SET LOCAL synchronous_commit = off")
            await self._advance(connection, checkpoint)
            if rows:
                await self._add_acceptable(checkpoint.camera, connection, rows)

    async def _add_acceptable(
        self, camera: str, connection: asyncpg.Connection, rows: Rows
    ) -> None:
        if await self._added(connection, rows) is None:
            return
        for row in rows.each():
            refusal = await self._added(connection, row)
            if refusal is not None:
                note_failure(camera, "tracker.row_refused", refusal, row=str(row)[:500])

    async def _added(self, connection: asyncpg.Connection, rows: Rows) -> Exception | None:
        """Add all rows, or none; return why they will never be taken, None where they were."""
        try:
            async with connection.transaction():
                await self._add(connection, rows)
        except ERRORS as error:
            if verdict(error) is not Verdict.REFUSE:
                raise
            return error
        return None

    async def _add(self, connection: asyncpg.Connection, rows: Rows) -> None:
        queued = [
            (queue, event.id)
            for event in rows.events
            for queue in (self._queues(event) if self._queues else ())
        ]
        known = await _known(connection, rows.events) if queued else set()
        await _insert(connection, rows)
        await enqueue(connection, queued, known)

    async def _advance(self, connection: asyncpg.Connection, new: Checkpoint) -> None:
        values = (new.camera, new.session, new.seq, new.position, new.state, new.version, new.ended)
        row = await connection.fetchrow(
            "INSERT INTO checkpoint AS c (camera, session, seq, position, state, version, ended) "
            "VALUES ($1, $2, $3, $4, $5, $6, $7) "
            "ON CONFLICT (camera) DO UPDATE SET session = $2, seq = $3, position = $4, state = $5, "
            "version = $6, ended = $7, updated_at = now() WHERE c.version = $6 - 1 "
            "RETURNING version",
            *values,
        )
        if row is None:
            raise LeaseLost(
                f"the checkpoint of camera {new.camera} is not the one that this follows: another "
                "tracker has committed in between, or the server has lost its last commits"
            )

    async def close(self) -> None:
        """Close all connections, at once."""
        await self._pool.close()


async def _known(connection: asyncpg.Connection, events: Sequence[Event]) -> set[str]:
    """Return the ids of those events that are stored already."""
    rows = await connection.fetch(
        "SELECT id::text FROM event WHERE id = ANY($1::uuid[])", [event.id for event in events]
    )
    return {row["id"] for row in rows}


async def _insert(connection: asyncpg.Connection, rows: Rows) -> None:
    await connection.executemany(
        "INSERT INTO session (id, camera, source, started_at) VALUES ($1, $2, $3, $4) "
        "ON CONFLICT (id) DO NOTHING",
        [(h.session, h.camera, h.source, _time(h.captured_at - h.t)) for h in rows.sessions],
    )
    # Event by event, in order: a visit has to be there before its events are.
    for event in rows.events:
        await _insert_visit(connection, event)
    await connection.executemany(
        "INSERT INTO event (id, camera, session, visit, visit_number, track, kind, reason, "
        "ordinal, seq, t, occurred_at, confirmed_at, people, zone, direction, seconds) "
        "VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16,$17) "
        "ON CONFLICT (id) DO NOTHING",
        [_event_row(event) for event in rows.events],
    )
    await connection.executemany(
        "UPDATE session SET ended_at = $2 WHERE id = $1 AND ended_at IS NULL",
        [(end.session, _time(end.captured_at)) for end in rows.ends],
    )


async def _insert_visit(connection: asyncpg.Connection, event: Event) -> None:
    visit = visit_id(event.camera, event.session, event.visit)
    if event.kind == "entered":
        await connection.execute(
            "INSERT INTO visit (id, camera, session, number, track, entered_at, entered_seq, "
            "entered_reason) VALUES ($1,$2,$3,$4,$5,$6,$7,$8) ON CONFLICT (id) DO NOTHING",
            visit, event.camera, event.session, event.visit, event.track,
            _time(event.occurred_at), event.seq, event.reason,
        )  # fmt: skip
    elif event.kind == "exited":
        await connection.execute(
            # Not the difference of two times of day: the clock may have been set in between.
            "UPDATE visit SET exited_at = $2, exited_seq = $3, exited_reason = $4, dwell_s = $5 "
            "WHERE id = $1",
            visit, _time(event.occurred_at), event.seq, event.reason, event.seconds,
        )  # fmt: skip


def _event_row(event: Event) -> Sequence[object]:
    return (
        event.id, event.camera, event.session,
        visit_id(event.camera, event.session, event.visit), event.visit, event.track,
        event.kind, event.reason, event.ordinal, event.seq, event.t,
        _time(event.occurred_at), _time(event.confirmed_at), event.people,
        event.zone, event.direction, event.seconds,
    )  # fmt: skip


def _time(epoch: float) -> datetime:
    return datetime.fromtimestamp(epoch, timezone.utc)
