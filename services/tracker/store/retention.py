"""Removes what is older than [retention], bit by bit, while everybody reads and writes.

A batch is one short transaction, so that nobody waits for it and Postgres can use the room again.
Events go before their visits, visits before their sessions; a visit that goes on stays.
"""

from __future__ import annotations

import asyncio

import asyncpg
import structlog
from prometheus_client import Counter

from posewire.shared.errors import StoreError, StoreUnavailable
from posewire.shared.settings import CameraRetention, Settings
from posewire.tracker.store.store import Store

_log = structlog.get_logger(__name__)
_removed = Counter("posewire_retention_removed_total", "Rows removed as too old", ["table"])
_LOCK = 0x70726574  # "pret": one tracker at a time
_BATCH = 1000
_PAUSE_S = 0.1
"""After each batch, so that the disk is there for others, too."""
_EVERY_S = 3600.0
_DELETES = {
    "snapshot": "DELETE FROM snapshot WHERE event IN (SELECT snapshot.event FROM snapshot"
    " JOIN event ON event.id = snapshot.event WHERE event.camera = $1"
    " AND snapshot.kept_at < now() - make_interval(secs => $2) LIMIT $3)",
    "event": "DELETE FROM event WHERE id IN (SELECT id FROM event WHERE camera = $1"
    " AND occurred_at < now() - make_interval(secs => $2) ORDER BY occurred_at LIMIT $3)",
    # Whoever is in view still may make events yet, which need the visit.
    "visit": "DELETE FROM visit WHERE id IN (SELECT id FROM visit WHERE camera = $1"
    " AND entered_at < now() - make_interval(secs => $2)"
    " AND coalesce(exited_at, entered_at) < now() - make_interval(secs => $2)"
    " AND (exited_at IS NOT NULL OR NOT EXISTS (SELECT FROM checkpoint"
    "  WHERE checkpoint.session = visit.session AND NOT checkpoint.ended))"
    " AND NOT EXISTS (SELECT FROM event WHERE event.visit = visit.id) LIMIT $3)",
    "session": "DELETE FROM session WHERE id IN (SELECT id FROM session WHERE camera = $1"
    " AND started_at < now() - make_interval(secs => $2)"
    " AND coalesce(ended_at, started_at) < now() - make_interval(secs => $2)"
    " AND NOT EXISTS (SELECT FROM checkpoint WHERE checkpoint.session = session.id)"
    " AND NOT EXISTS (SELECT FROM visit WHERE visit.session = session.id) LIMIT $3)",
}


async def keep_tidy(settings: Settings, store: Store) -> None:
    """Remove what is too old once an hour, until cancelled; never raises what goes wrong."""
    for table in _DELETES:
        _removed.labels(table)
    while True:
        try:
            if removed := await sweep(settings, store):
                _log.info("retention.removed", **removed)
        except (StoreUnavailable, StoreError) as error:
            _log.warning("retention.waits", reason=str(error), pause_s=_EVERY_S)
        await asyncio.sleep(_EVERY_S)


async def sweep(
    settings: Settings, store: Store, *, batch: int = _BATCH, pause_s: float = _PAUSE_S
) -> dict[str, int]:
    """Remove all that is too old, and return how many rows of which table.

    Cameras that are configured no more are kept as [retention] says. Raises StoreUnavailable.
    """
    removed: dict[str, int] = {}
    async with store.transaction() as connection:
        rows = await connection.fetch("SELECT DISTINCT camera FROM session")
    for camera in sorted(row["camera"] for row in rows):
        own = settings.cameras[camera].retention if camera in settings.cameras else None
        kept = settings.retention.of(own or CameraRetention())
        for table, days in (
            ("snapshot", kept.snapshots_days),
            ("event", kept.events_days),
            ("visit", kept.visits_days),
            ("session", kept.visits_days),
        ):
            if days is None:
                continue
            count = await _empty(store, table, camera, days, batch, pause_s)
            if count:
                removed[table] = removed.get(table, 0) + count
    return removed


async def _empty(
    store: Store, table: str, camera: str, days: float, batch: int, pause_s: float
) -> int:
    count = 0
    while True:
        async with store.transaction() as connection:
            done = await _delete(connection, table, camera, days, batch)
        _removed.labels(table).inc(done)
        count += done
        if done < batch:
            return count
        await asyncio.sleep(pause_s)


async def _delete(
    connection: asyncpg.Connection, table: str, camera: str, days: float, batch: int
) -> int:
    """Remove a batch and return its size; 0 where another tracker is at it."""
    await connection.execute("SET LOCAL synchronous_commit = off")
    if not await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", _LOCK):
        return 0
    done = await connection.execute(_DELETES[table], camera, days * 86_400.0, batch)
    return int(done.split()[-1])
