"""What it costs to be rid of a month: rows removed in batches, or a partition dropped.

    python -m bench.retention [--visits 1000000] [--cameras 8] [--json]

A year of made-up visits as in bench.history. The oldest month is removed as the tracker does it
([retention]), while somebody asks for the newest events all the time; then the same events lie in
a table with a partition for each month, of which the oldest is dropped.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg

from bench.history import _fill
from posewire.launcher.embedded import EmbeddedPostgres
from posewire.shared.database import migrate
from posewire.shared.settings import Settings
from posewire.tracker.store import Store
from posewire.tracker.store.retention import sweep

_DAYS = 335.0
_NEWEST = "SELECT * FROM {} ORDER BY ord DESC LIMIT 100"
_CAMERA = "SELECT * FROM {} WHERE camera = 'c0' ORDER BY ord DESC LIMIT 100"
_ONE = "SELECT * FROM {} WHERE id = '{}'"
_PARTITIONED = """
CREATE TABLE monthly (LIKE event INCLUDING DEFAULTS) PARTITION BY RANGE (occurred_at);
DO $$ BEGIN FOR m IN -13..1 LOOP
  EXECUTE format('CREATE TABLE monthly_%s PARTITION OF monthly FOR VALUES FROM (%L) TO (%L)',
    m + 13, now() + make_interval(months => m), now() + make_interval(months => m + 1));
END LOOP; END $$;
INSERT INTO monthly SELECT * FROM event;
-- The primary key has to hold the time as well; ord is unique in each partition at best.
ALTER TABLE monthly ADD PRIMARY KEY (id, occurred_at);
CREATE INDEX ON monthly (ord);
CREATE INDEX ON monthly (occurred_at);
CREATE INDEX ON monthly (camera, occurred_at);
CREATE INDEX ON monthly (camera, ord);
CREATE INDEX ON monthly (visit);
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--visits", type=int, default=1_000_000)
    parser.add_argument("--cameras", type=int, default=8)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result = asyncio.run(measure(options.visits, options.cameras))
    if options.json:
        print(json.dumps(result, indent=2))
        return
    for name, values in result.items():
        print(f"{name}: {values}")


async def measure(visits: int, cameras: int) -> dict[str, Any]:
    """Fill a database of its own and remove a month in both ways."""
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedPostgres(Path(folder))
        await server.start()
        settings = Settings.model_validate(
            {
                "database": {"url": server.url, "timeout_s": 60},
                "cameras": {f"c{n}": {"source": "demo"} for n in range(cameras)},
                "retention": {"visits_days": _DAYS},
            }
        )
        store = Store(settings.database)
        try:
            await migrate(settings.database)
            connection = await asyncpg.connect(server.url)
            await _fill(connection, visits, cameras)
            await connection.execute(_PARTITIONED, timeout=600)
            await connection.execute("VACUUM ANALYZE", timeout=600)
            found: dict[str, Any] = {"milliseconds": await _compare(connection)}
            found["batches"] = await _batches(connection, settings, store)
            found["partitions"] = await _drop(connection, server.url)
            await connection.close()
        finally:
            await store.close()
            await server.stop()
    return found


async def _batches(
    connection: asyncpg.Connection, settings: Settings, store: Store
) -> dict[str, Any]:
    assert settings.database.url is not None
    await connection.execute("CHECKPOINT")
    before = await connection.fetchval("SELECT pg_current_wal_lsn()")
    async with _reading(settings.database.url, _NEWEST.format("event")) as times:
        await asyncio.sleep(5)
        quiet = list(times)
        times.clear()
        started = time.monotonic()
        removed = await sweep(settings, store)
        seconds = time.monotonic() - started
    written = await connection.fetchval("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), $1)", before)
    return {
        "removed": removed,
        "seconds": round(seconds, 1),
        "wal_megabytes": round(float(written) / 1e6),
        "reader_ms_before": _spread(quiet),
        "reader_ms_meanwhile": _spread(times),
    }


async def _drop(connection: asyncpg.Connection, url: str) -> dict[str, Any]:
    rows = await connection.fetchval("SELECT count(*) FROM monthly_1")
    async with _reading(url, _NEWEST.format("monthly")) as times:
        await asyncio.sleep(5)
        quiet = list(times)
        times.clear()
        started = time.monotonic()
        await connection.execute("DROP TABLE monthly_1")
        seconds = time.monotonic() - started
        await asyncio.sleep(1)
    return {
        "rows": rows,
        "seconds": round(seconds, 3),
        "reader_ms_before": _spread(quiet),
        "reader_ms_meanwhile": _spread(times),
    }


async def _compare(connection: asyncpg.Connection) -> dict[str, list[float]]:
    """Return medians of questions to the plain table and to the one with partitions."""
    one = await connection.fetchval("SELECT id FROM event ORDER BY ord DESC OFFSET 5000 LIMIT 1")
    questions: dict[str, Callable[[str], Awaitable[Any]]] = {
        "newest 100": lambda table: connection.fetch(_NEWEST.format(table)),
        "newest 100 of a camera": lambda table: connection.fetch(_CAMERA.format(table)),
        "an event by its id": lambda table: connection.fetch(_ONE.format(table, one)),
    }
    found: dict[str, list[float]] = {}
    for name, question in questions.items():
        for table in ("event", "monthly"):
            taken = []
            for _ in range(50):
                started = time.perf_counter()
                await question(table)
                taken.append((time.perf_counter() - started) * 1000)
            found.setdefault(name, []).append(round(statistics.median(taken), 2))
    return found


@asynccontextmanager
async def _reading(url: str, question: str) -> AsyncIterator[list[float]]:
    """Ask again and again; yields how long that takes, in milliseconds."""
    connection = await asyncpg.connect(url)
    times: list[float] = []

    async def read() -> None:
        while True:
            started = time.perf_counter()
            await connection.fetch(question)
            times.append((time.perf_counter() - started) * 1000)
            await asyncio.sleep(0.01)

    task = asyncio.create_task(read())
    try:
        yield times
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        connection.terminate()


def _spread(times: list[float]) -> dict[str, float]:
    ordered = sorted(times)
    return {
        "median": round(statistics.median(ordered), 1),
        "p99": round(ordered[int(len(ordered) * 0.99)], 1),
        "longest": round(ordered[-1], 1),
    }


if __name__ == "__main__":
    main()
